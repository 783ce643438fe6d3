// SPDX-License-Identifier: BSD-2-Clause
//! The machine.
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::kernel::Kernel;
use crate::process::is_machine_stopped;
use crate::size::Size;
use crate::verdict::MachineEnd;
use crate::watchdog::{Link, SOCKET_FILE, Watchdog};

/// The program.
pub const PROGRAM: &str = "qemu-system-x86_64";
/// A PC of 1996, which has no IOMMU.
const PLAIN: &str = "-machine pc";
/// A later one with Intel's IOMMU. seL4 has no use for what that does with interrupts.
const WITH_IOMMU: &str = "-machine q35,kernel-irqchip=split -device intel-iommu,intremap=off";
/// Nothing in it but what is named: no network card to boot from, no display.
const FIXED: &str = "-accel tcg -nodefaults -no-user-config -display none -no-reboot \
                     -serial stdio -device isa-debug-exit,iobase=0xf4,iosize=0x04";
/// The kernel as an ELF32 file. A debug kernel prints the names of the files, so they are always the same.
pub const KERNEL_FILE: &str = "kernel.elf";
/// The disk, without the registers of before virtio 1.0.
const DISK_DEVICE: &str = "virtio-blk-pci,drive=disk,disable-legacy=on";
/// The same, where there is an IOMMU, which virtio devices pass by unless they are told not to.
const DISK_BEHIND_IOMMU: &str = "virtio-blk-pci,drive=disk,disable-legacy=on,iommu_platform=on";
/// The root task with its archive.
pub const IMAGE_FILE: &str = "image.elf";
/// How long QEMU may take to leave after the end sentinel.
const LEAVE_TIME: Duration = Duration::from_secs(5);
/// How often a signal is looked for.
const POLL_TIME: Duration = Duration::from_millis(50);
/// A longer line is handed on in pieces, so that a client that never ends its line can't fill the memory.
const LINE_BYTES_MAX: u64 = 1 << 16;

/// A machine to run a system in.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Its memory.
    pub memory: Size,
    /// Whether instructions are counted instead of time.
    pub icount: bool,
    /// The port that it waits for a debugger on; there is no timeout then.
    pub gdb: Option<u16>,
    /// When it is given up.
    pub timeout: Duration,
    /// Options for its devices.
    pub devices: Vec<&'static str>,
    /// Whether it has an IOMMU.
    pub iommu: bool,
    /// Whether a server runs in it, which has to answer.
    pub is_watched: bool,
    /// The file behind its disk, if it has one. What is written goes to a file that is gone when QEMU is.
    pub disk: Option<PathBuf>,
}

/// What a running machine says.
enum Event {
    Line(String),
    Closed,
}

impl Machine {
    /// QEMU's arguments for `kernel`.
    ///
    /// # Errors
    ///
    /// If QEMU has no processor for this kernel.
    pub fn arguments(&self, kernel: &Kernel) -> Result<Vec<OsString>> {
        let machine = if self.iommu { WITH_IOMMU } else { PLAIN };
        let fixed = machine.split(' ').chain(FIXED.split(' '));
        let mut arguments: Vec<OsString> = fixed.map(OsString::from).collect();
        let mut add = |option: &str, value: OsString| arguments.extend([option.into(), value]);
        add("-cpu", kernel.config.cpu()?.into());
        add("-smp", kernel.config.processors().to_string().into());
        // QEMU takes a number without a unit for MiB.
        add("-m", format!("{}B", self.memory.0).into());
        if self.icount {
            add("-icount", "shift=0,sleep=off".into());
            // The clock starts where it did the last time, and goes with the instructions.
            add("-rtc", "base=2000-01-01,clock=vm".into());
        }
        for device in &self.devices {
            add("-device", device.into());
        }
        if let Some(disk) = &self.disk {
            let mut drive = OsString::from("if=none,id=disk,format=raw,snapshot=on,file=");
            // A comma in a name is written twice.
            drive.push(disk.to_string_lossy().replace(',', ",,"));
            add("-drive", drive);
            let device = if self.iommu {
                DISK_BEHIND_IOMMU
            } else {
                DISK_DEVICE
            };
            add("-device", device.into());
        }
        add("-kernel", KERNEL_FILE.into());
        add("-initrd", IMAGE_FILE.into());
        if self.is_watched {
            add(
                "-qmp",
                format!("unix:{SOCKET_FILE},server=on,wait=off").into(),
            );
        }
        if let Some(port) = self.gdb {
            let server = format!("tcp:127.0.0.1:{port}");
            arguments.extend(["-gdb".into(), server.into(), "-S".into()]);
        }
        Ok(arguments)
    }

    /// Runs QEMU in `folder`, where its files are, to its end, which comes early when the server in it hangs. Each line of the serial port goes to `watch`, which says
    /// whether the end sentinel was seen; what QEMU itself had to say is given beside how it ended.
    ///
    /// # Errors
    ///
    /// If QEMU can't be started.
    pub fn run(
        &self,
        folder: &Path,
        arguments: &[OsString],
        mut watch: impl FnMut(&str) -> bool,
    ) -> Result<(MachineEnd, String)> {
        let mut child = Running(start(folder, arguments)?);
        let (sender, receiver) = mpsc::channel();
        let stdout = child.0.stdout.take().context("QEMU's serial port")?;
        let complaints = read_complaints(child.0.stderr.take().context("QEMU's errors")?);
        thread::spawn(move || read_lines(BufReader::new(stdout), &sender));

        let image = fs::read(folder.join(IMAGE_FILE)).context(IMAGE_FILE)?;
        let watchdog = || Watchdog::new(&image, Link::new(folder));
        let mut watchdog = self.is_watched.then(watchdog);
        let mut deadline = self.gdb.is_none().then(|| Instant::now() + self.timeout);
        let mut has_ended = false;
        let end = loop {
            let now = Instant::now();
            if is_machine_stopped() {
                break Some(MachineEnd::Interrupted);
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                let stuck = if has_ended {
                    MachineEnd::Stuck
                } else {
                    let words = watchdog.as_mut().and_then(Watchdog::last_words);
                    MachineEnd::TimedOut(self.timeout, words)
                };
                break Some(stuck);
            }
            let dog = watchdog.as_mut().filter(|_| !has_ended);
            if let Some(what) = dog.and_then(|dog| dog.watch(now)) {
                break Some(MachineEnd::Hung(what));
            }
            let left = deadline.map_or(POLL_TIME, |deadline| deadline - now);
            match receiver.recv_timeout(left.min(POLL_TIME)) {
                Ok(Event::Line(line)) => {
                    if let Some(dog) = &mut watchdog {
                        dog.heard(&line, Instant::now());
                    }
                    if watch(&line) && !has_ended {
                        has_ended = true;
                        deadline = Some(Instant::now() + LEAVE_TIME);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Event::Closed) | Err(RecvTimeoutError::Disconnected) => break None,
            }
        };
        let end = match end {
            Some(end) => end,
            None => MachineEnd::Left(child.0.wait()?.to_string()),
        };
        // Dead before its errors are read to their end.
        drop(child);
        Ok((end, complaints.join().unwrap_or_default()))
    }
}

/// QEMU, which is dead when this is gone.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Either may fail only because it is dead already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(folder: &Path, arguments: &[OsString]) -> Result<Child> {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).current_dir(folder);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // Ctrl-C goes to this tool alone, which then ends QEMU and says so.
    command.process_group(0);
    let tool = rustix::process::getpid();
    let tie = move || {
        use rustix::process::{Signal, getppid, set_parent_process_death_signal};
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The tool may have died before the kernel knew what to do then.
        if getppid() == Some(tool) {
            Ok(())
        } else {
            Err(std::io::ErrorKind::NotFound.into())
        }
    };
    // SAFETY: between fork and exec only async-signal-safe functions may be called: the closure makes two system
    // calls and allocates nothing.
    unsafe { command.pre_exec(tie) };
    command
        .spawn()
        .with_context(|| format!("can't start {PROGRAM}"))
}

fn read_lines(mut serial: impl BufRead, sender: &Sender<Event>) {
    loop {
        let mut line = Vec::new();
        match serial
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
        {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        while line
            .last()
            .is_some_and(|byte| matches!(byte, b'\n' | b'\r'))
        {
            line.pop();
        }
        // Debug kernels end lines with `\n\r`, so that the next line begins with a carriage return.
        let start = line.iter().take_while(|byte| **byte == b'\r').count();
        let line = String::from_utf8_lossy(&line[start..]).into_owned();
        if sender.send(Event::Line(line)).is_err() {
            return;
        }
    }
    // If nobody listens any more, nobody needs to know.
    let _ = sender.send(Event::Closed);
}

fn read_complaints(mut stderr: ChildStderr) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut text = Vec::new();
        // What was read before an error is worth showing.
        let _ = stderr.read_to_end(&mut text);
        String::from_utf8_lossy(&text).trim().to_string()
    })
}
