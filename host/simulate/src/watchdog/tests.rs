// SPDX-License-Identifier: BSD-2-Clause
use super::*;
use crate::elf::fixture::{EXECUTE, READ, elf64, load};

const SERVER: u64 = 0x40_0000;

/// A machine that is always found like this.
struct Still(Option<Processor>);

impl Look for Still {
    fn look(&mut self) -> Option<Processor> {
        self.0.clone()
    }
}

fn server() -> Vec<u8> {
    let text = load(READ | EXECUTE, SERVER, &[0x90; 64]);
    elf64(SERVER, &[text], &[("serve", SERVER + 16, 32)])
}

fn user(instruction: u64, byte: u8) -> Processor {
    Processor {
        instruction,
        is_user: true,
        is_halted: false,
        code: vec![byte; 16],
    }
}

/// The verdict after two minutes of looks that all find `processor`, with what was printed last.
fn verdict(processor: Option<Processor>) -> Option<String> {
    let image = server();
    let mut watchdog = Watchdog::new(&image, Still(processor));
    let begin = Instant::now();
    watchdog.heard("one| hello", begin);
    (0..2800).find_map(|step| watchdog.watch(begin + step * Duration::from_millis(50)))
}

#[test]
fn a_server_in_a_loop_is_named_with_its_function() {
    let said = verdict(Some(user(SERVER + 20, 0x90))).unwrap();
    assert!(said.contains("the server answers nobody"), "{said}");
    assert!(said.contains("105 times the server in serve"), "{said}");
    assert!(said.ends_with("the last line: `one| hello`"), "{said}");
    let said = verdict(Some(user(SERVER, 0x90))).unwrap();
    assert!(said.contains("the server in 0x400000"), "{said}");
}

#[test]
fn a_client_that_computes_is_none_whatever_its_address() {
    assert_eq!(verdict(Some(user(SERVER + 20, 0xcc))), None);
    assert_eq!(verdict(Some(user(0x50_0000, 0x90))), None);
}

#[test]
fn one_look_at_a_client_is_enough() {
    struct Seldom(u32);
    impl Look for Seldom {
        fn look(&mut self) -> Option<Processor> {
            self.0 += 1;
            let byte = if self.0.is_multiple_of(100) {
                0xcc
            } else {
                0x90
            };
            Some(user(SERVER + 20, byte))
        }
    }
    let image = server();
    let mut watchdog = Watchdog::new(&image, Seldom(0));
    let begin = Instant::now();
    watchdog.heard("", begin);
    for step in 0..6000 {
        let said = watchdog.watch(begin + step * Duration::from_millis(50));
        assert_eq!(said, None);
    }
}

/// Finds the server once, and then the kernel so many times, over and over.
struct Calling(u32, u32);

impl Look for Calling {
    fn look(&mut self) -> Option<Processor> {
        self.0 += 1;
        let mut processor = user(SERVER + 20, 0x90);
        processor.is_user = self.0.is_multiple_of(self.1 + 1);
        Some(processor)
    }
}

#[test]
fn a_server_that_calls_the_kernel_is_looked_at_for_longer() {
    let image = server();
    // Clients that do nothing but call are found as seldom as the server is: a hundred looks may well miss them.
    let mut watchdog = Watchdog::new(&image, Calling(0, 15));
    let begin = Instant::now();
    watchdog.heard("", begin);
    let mut steps = (0..2800).map(|step| begin + step * Duration::from_millis(50));
    assert_eq!(
        steps
            .by_ref()
            .take(1400)
            .find_map(|now| watchdog.watch(now)),
        None
    );
    let said = steps.find_map(|now| watchdog.watch(now)).unwrap();
    assert!(said.contains("in 1050 looks no client ran"), "{said}");
    assert!(said.contains("65 times the server in serve"), "{said}");
}

#[test]
fn a_kernel_that_does_not_come_back_is_told_from_a_machine_in_which_all_sleep() {
    let mut processor = user(0, 0);
    processor.is_user = false;
    let said = verdict(Some(processor.clone())).unwrap();
    assert!(said.contains("the kernel does not come back"), "{said}");
    processor.is_halted = true;
    assert_eq!(verdict(Some(processor)), None);
}

#[test]
fn nothing_is_said_before_the_first_line_nor_without_a_look() {
    assert_eq!(verdict(None), None);
    let image = server();
    let mut watchdog = Watchdog::new(&image, Still(Some(user(SERVER, 0x90))));
    let begin = Instant::now();
    assert_eq!(watchdog.watch(begin + Duration::from_secs(1000)), None);
}

#[test]
fn what_qemu_shows_is_read() {
    let registers = "RAX=0000000000000000 RBX=00000000deadbeef\n\
                     RIP=ffffffff80123456 RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1\n";
    let processor = qmp::processor(registers).unwrap();
    assert_eq!(processor.instruction, 0xffff_ffff_8012_3456);
    assert!(processor.is_halted && !processor.is_user);
    assert_eq!(qmp::processor("EIP=0"), None);
    let shown = "0000000000400000: 0x48 0x89 0xc7\r\n0000000000400008: 0xff\r\n";
    assert_eq!(qmp::code(shown), [0x48, 0x89, 0xc7, 0xff]);
    assert!(qmp::code("Cannot access memory").is_empty());
}
