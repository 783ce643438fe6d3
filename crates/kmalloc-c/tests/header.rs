// SPDX-License-Identifier: BSD-2-Clause
//! The header says what the Rust functions are, and a C program that gcc builds runs on them.

use kmalloc::Heap;
use kmalloc_host_source::HostSource;
use std::ffi::{c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;

// SAFETY: only the linker looks at it here.
static HEAP: Heap<HostSource> = unsafe { Heap::single_threaded(HostSource::new(1 << 20)) };

kmalloc_c::export!(HEAP);

const HEADER: &str = include_str!("../include/kmalloc.h");

/// A Rust type under the name that C has for it.
trait CType {
    const NAME: &'static str;
}

macro_rules! c_types {
    ($($rust:ty => $c:literal),* $(,)?) => {
        $(impl CType for $rust { const NAME: &'static str = $c; })*
    };
}

c_types! {
    () => "void",
    c_int => "int",
    usize => "size_t",
    *mut c_void => "void *",
    *const c_void => "const void *",
    *mut u64 => "uint64_t *",
    *mut usize => "size_t *",
    u64 => "uint64_t",
    *const c_char => "const char *",
    *const kmalloc_c::CDmaOptions => "const struct kmalloc_dma_options *",
}

/// The functions with their Rust types, which the compiler checks, and what C must call these.
macro_rules! functions {
    ($(fn $name:ident($($argument:ty),*) -> $result:ty;)*) => {
        const _: () = {
            $(let _: unsafe extern "C" fn($($argument),*) -> $result = $name;)*
        };

        fn signatures() -> Vec<(&'static str, String)> {
            vec![$((
                stringify!($name),
                signature(&[$(<$argument as CType>::NAME),*], <$result as CType>::NAME),
            )),*]
        }
    };
}

functions! {
    fn kmalloc(usize, c_int) -> *mut c_void;
    fn kmalloc_aligned(usize, usize, c_int) -> *mut c_void;
    fn kcalloc(usize, usize, c_int) -> *mut c_void;
    fn krealloc(*mut c_void, usize, c_int) -> *mut c_void;
    fn krealloc_array(*mut c_void, usize, usize, c_int) -> *mut c_void;
    fn kfree(*mut c_void) -> ();
    fn ksize(*const c_void) -> usize;
    fn kmalloc_dma(usize) -> *mut c_void;
    fn kmalloc_dma_with_address(usize, *mut u64) -> *mut c_void;
    fn kmalloc_dma_with_options(usize, *const kmalloc_c::CDmaOptions, *mut u64) -> *mut c_void;
    fn kmalloc_dma_sync_for_device(*const c_void, usize) -> ();
    fn kmalloc_dma_sync_for_cpu(*const c_void, usize) -> ();
    fn kfree_dma(*mut c_void) -> ();
    fn kmalloc_find(*const c_char) -> u64;
    fn kmalloc_dataspace_make(usize) -> u64;
    fn kmalloc_dataspace_share(u64, u64, c_int) -> c_int;
    fn kmalloc_dataspace_attach(u64, c_int, *mut usize) -> *mut c_void;
    fn kmalloc_dataspace_detach(*mut c_void) -> c_int;
    fn kmalloc_dataspace_close(u64) -> c_int;
    fn kmalloc_last_error() -> c_int;
    fn kmalloc_error_text(c_int) -> *const c_char;
}

/// A pointer to such a function, in C.
fn signature(arguments: &[&str], result: &str) -> String {
    let arguments = match arguments {
        [] => "void".to_string(),
        arguments => arguments.join(", "),
    };
    format!("{result} (*)({arguments})")
}

/// A folder for what this test builds.
fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn gcc(arguments: &[&str]) {
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let status = Command::new("gcc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-I"])
        .arg(include)
        .args(arguments)
        .status()
        .expect("gcc is needed for this test");
    assert!(status.success(), "gcc {arguments:?}");
}

#[test]
fn the_header_declares_what_rust_defines() {
    let mut source = String::from("#include \"kmalloc.h\"\n");
    for (name, signature) in signatures() {
        source += &format!(
            "_Static_assert(__builtin_types_compatible_p(__typeof__(&{name}), {signature}), \"{name}\");\n"
        );
    }
    let path = folder().join("signatures.c");
    std::fs::write(&path, source).unwrap();
    let path = path.to_str().unwrap();
    gcc(&["-fsyntax-only", path]);
    gcc(&[
        "-fsyntax-only",
        "-ffreestanding",
        "-DKMALLOC_REPLACE_MALLOC",
        path,
    ]);

    let prototypes = HEADER
        .lines()
        .filter(|line| line.ends_with(");") && !line.contains('#') && !line.starts_with(' '));
    assert_eq!(
        prototypes.count(),
        signatures().len(),
        "a prototype without a function"
    );
}

#[test]
fn the_header_numbers_errors_and_flags_as_rust_does() {
    use kmalloc::Error;
    let errors = [
        ("BAD_MESSAGE", Error::BadMessage(kmalloc::BadMessage::Empty)),
        (
            "BAD_VERSION",
            Error::BadVersion {
                expected: 0,
                label: 0,
            },
        ),
        ("BAD_FLAGS", Error::BadFlags { unknown: 0 }),
        ("BAD_SIZE", Error::BadSize { size: 0 }),
        ("BAD_ALIGNMENT", Error::BadAlignment { value: 0 }),
        ("OVERFLOW", Error::Overflow { count: 0, size: 0 }),
        (
            "OVER_QUOTA",
            Error::OverQuota {
                limit: 0,
                committed: 0,
                requested: 0,
            },
        ),
        (
            "OUT_OF_MEMORY",
            Error::OutOfMemory {
                free: 0,
                requested: 0,
            },
        ),
        (
            "NO_CONTIGUOUS_RUN",
            Error::NoContiguousRun {
                largest: 0,
                requested: 0,
            },
        ),
        (
            "ADDRESS_LIMIT",
            Error::AddressLimit {
                max_addr: 0,
                largest: 0,
            },
        ),
        ("OUT_OF_SLOTS", Error::OutOfSlots { limit: 0 }),
        ("BAD_POINTER", Error::BadPointer { address: 0 }),
        ("DOUBLE_FREE", Error::DoubleFree { address: 0 }),
        ("NOT_OWNER", Error::NotOwner { address: 0 }),
        ("WRONG_KIND", Error::WrongKind { address: 0 }),
        ("NOT_PERMITTED", Error::NotPermitted),
        ("REFUSED", Error::Refused { code: 0 }),
        ("STALE", Error::Stale { handle: 0 }),
        (
            "BEING_CLEANED",
            Error::BeingCleaned {
                usable: 0,
                free: 0,
                requested: 0,
            },
        ),
        ("NO_DEVICE", Error::NoDevice { device: 0 }),
        ("DEVICE_BUSY", Error::DeviceBusy { device: 0 }),
        ("BAD_REGISTER", Error::BadRegister { offset: 0 }),
        ("SHARED_INTERRUPT", Error::SharedInterrupt { line: 0 }),
    ];
    let numbered = HEADER
        .lines()
        .filter(|line| line.starts_with("    KMALLOC_"));
    assert_eq!(
        numbered.count(),
        errors.len() + 2,
        "with KMALLOC_OK and KMALLOC_ZERO"
    );
    for (name, error) in errors {
        let line = format!("    KMALLOC_{name} = {},", kmalloc_c::code(error));
        assert!(HEADER.contains(&line), "{line}");
        assert_ne!(kmalloc_c::text(kmalloc_c::code(error)), c"unknown error");
    }
    let zero = format!("    KMALLOC_ZERO = {},", kmalloc::Flags::ZERO.bits());
    assert!(HEADER.contains(&zero));
}

#[test]
fn a_c_program_runs() {
    let program = folder().join("program");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program.c");
    // Beside the tests, cargo builds the examples.
    let tests = std::env::current_exe().unwrap();
    let library = tests
        .ancestors()
        .nth(2)
        .unwrap()
        .join("examples/libkmalloc_on_host.a");
    assert!(
        library.exists(),
        "{library:?} is missing: run the tests without --test, or with --examples"
    );
    let paths = [&source, &library].map(|path| path.to_str().unwrap());
    gcc(&[
        paths[0],
        paths[1],
        "-lpthread",
        "-ldl",
        "-lm",
        "-o",
        program.to_str().unwrap(),
    ]);
    let output = Command::new(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let passed = text.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(text.ends_with(&format!("1..{passed}\n")), "{text}");
}
