// SPDX-License-Identifier: BSD-2-Clause
//! The tool in front of a QEMU that only plays back a serial log.
#[path = "../../src/elf/fixture.rs"]
mod fixture;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use fixture::{EXECUTE, READ, WRITE, elf64, load};
use tempfile::TempDir;

pub const BOOT: &str = "@boot kernel=5.0.0 variant=release memory=4096 untypeds=1";
pub const PASSED: &str = "@client name=one program=one result=exit:0 calls=12 peak=4096 held=0";
pub const BOOKS: &str = "@books free=4000 committed=0 server=96 total=4096 balanced=true";
pub const END: &str = "@end passed=true";

/// A folder with a kernel, a root task, a system of one client `one`, and the stand-in for QEMU.
pub struct Bench {
    folder: TempDir,
}

impl Bench {
    /// QEMU's stand-in prints these lines and then does what `ending` says in shell.
    pub fn new(serial: &[&str], ending: &str) -> Self {
        let bench = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let text = load(READ | EXECUTE, 0x40_0000, &[0x90; 64]);
        let place = load(READ | WRITE, 0x40_1000, &[0; 16]);
        let symbols = [("SYSTEM_ARCHIVE", 0x40_1000, 16)];
        bench.write(
            "root-task.elf",
            elf64(0x40_0000, &[text.clone(), place], &symbols),
        );
        bench.write("one.elf", elf64(0x40_0000, &[text], &[]));
        let multiboot = load(READ | EXECUTE, 0x10_0000, &0x1bad_b002_u32.to_le_bytes());
        bench.write("prefix/bin/kernel.elf", elf64(0x10_0000, &[multiboot], &[]));
        let options = r#"{"ARCH_X86_64": true, "PLAT_PC99": true, "HUGE_PAGE": true}"#;
        bench.write("prefix/libsel4/include/kernel/gen_config.json", options);
        bench.write("prefix/VERSION", "5.0.0\n");
        bench.write(
            "system.toml",
            "[[program]]\nname = \"one\"\nelf = \"./one.elf\"\n\
             [[client]]\nname = \"one\"\nmemory_limit = \"1M\"\n",
        );
        bench.write("serial", format!("{}\n", serial.join("\n")));
        let here = bench.folder.path().display();
        let qemu = format!(
            "#!/bin/bash\necho $$ > {here}/pid\necho \"$@\" > {here}/arguments\n\
             cp image.elf kernel.elf {here}/\ncat {here}/serial\n{ending}\n"
        );
        bench.write("bin/qemu-system-x86_64", qemu);
        let file = bench.path("bin/qemu-system-x86_64");
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        let file = self.path(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, contents).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// The tool with these arguments, in the folder, with the stand-in before all other programs.
    pub fn tool(&self, arguments: &[&str]) -> Command {
        let mut tool = Command::new(env!("CARGO_BIN_EXE_simulate"));
        let path = std::env::var("PATH").unwrap();
        tool.args(arguments).current_dir(self.folder.path());
        tool.env("PATH", format!("{}:{path}", self.path("bin").display()));
        tool.env("SEL4_PREFIX", self.path("prefix"));
        tool
    }

    /// The tool running the system.
    pub fn run(&self, arguments: &[&str]) -> Command {
        let mut all = vec![
            "run",
            "--system",
            "system.toml",
            "--root-task",
            "root-task.elf",
        ];
        all.extend(arguments);
        self.tool(&all)
    }

    /// Whether QEMU's stand-in is running.
    pub fn has_qemu(&self) -> bool {
        let pid = fs::read_to_string(self.path("pid")).unwrap_or_default();
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        // What is dead but not yet collected by init runs no more.
        !pid.is_empty() && !stat.is_empty() && !stat.contains(") Z ")
    }
}

pub fn status(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
