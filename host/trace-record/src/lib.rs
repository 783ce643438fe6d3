// SPDX-License-Identifier: BSD-2-Clause
//! Stands between a program and glibc's allocator (by `LD_PRELOAD`) and writes each call to a file, as four `u64` in
//! the machine's byte order: operation, address, and two operands.
//!
//! | operation | address | operands |
//! |---|---|---|
//! | 0 begin | number of the process | 0, 0 |
//! | 1 allocate | of the block | bytes, 0 |
//! | 2 allocate zeroed | of the block | elements, bytes of one |
//! | 3 resize | of the block afterwards | bytes, address before |
//! | 4 free | of the block | 0, 0 |
//!
//! Only the process that finds `KMALLOC_TRACE_EVENTS` in its environment, and is the first to make that file, is
//! recorded: not what it forks, nor what it starts. If it replaces its program by another one, the file begins anew. A call that fails is not written. Nothing here allocates.
//!
//! The tool that reads this is `./simulate record`.
#![cfg(target_os = "linux")]

use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use libc::{pid_t, size_t};

const BEGIN_PROCESS: u64 = 0;
const ALLOCATE: u64 = 1;
const ALLOCATE_ZEROED: u64 = 2;
const RESIZE: u64 = 3;
const FREE: u64 = 4;

/// The events' file; -1 while nothing is recorded.
static FILE: AtomicI32 = AtomicI32::new(-1);
/// The process that is recorded: a fork has the same open file, but another number.
static PROCESS: AtomicI32 = AtomicI32::new(0);
/// Held from a call of glibc's allocator until it is written: with several threads, an address must not be written
/// as allocated anew before it is written as freed.
static LOCK: AtomicBool = AtomicBool::new(false);

unsafe extern "C" {
    fn __libc_malloc(size: size_t) -> *mut c_void;
    fn __libc_calloc(count: size_t, size: size_t) -> *mut c_void;
    fn __libc_realloc(block: *mut c_void, size: size_t) -> *mut c_void;
    fn __libc_free(block: *mut c_void);
    fn __libc_memalign(alignment: size_t, size: size_t) -> *mut c_void;
}

/// Run by the loader before the program's own code.
#[used]
#[unsafe(link_section = ".init_array")]
static BEGIN: extern "C" fn() = begin;

extern "C" fn begin() {
    // SAFETY: always allowed.
    let process = unsafe { libc::getpid() };
    // SAFETY: the name ends with NUL; no other thread changes the environment yet.
    let path = unsafe { libc::getenv(c"KMALLOC_TRACE_EVENTS".as_ptr()) };
    if path.is_null() {
        return;
    }
    // SAFETY: the environment's texts end with NUL.
    let file = unsafe { open_events(path, process) };
    PROCESS.store(process, Ordering::Relaxed);
    FILE.store(file, Ordering::Relaxed);
    if file >= 0 {
        write(file, &[BEGIN_PROCESS, process as u64, 0, 0]);
    }
}

/// The file to write to, empty; -1 if another process is recorded there.
///
/// # Safety
///
/// `path` ends with NUL.
unsafe fn open_events(path: *const c_char, process: pid_t) -> c_int {
    let flags = libc::O_RDWR | libc::O_APPEND | libc::O_CLOEXEC;
    // SAFETY: the caller's promise; the buffer takes as many bytes as are read.
    unsafe {
        let file = libc::open(path, flags | libc::O_CREAT | libc::O_EXCL, 0o600);
        if file >= 0 {
            return file;
        }
        let file = libc::open(path, flags);
        let mut first = [0_u64; 4];
        let bytes = size_of_val(&first);
        let read = libc::read(file, first.as_mut_ptr().cast(), bytes);
        let is_own = read == bytes.cast_signed() && first[1] == process as u64;
        // A program that replaced itself by another one, as `env` does: only the last one counts.
        if is_own && libc::ftruncate(file, 0) == 0 {
            return file;
        }
        libc::close(file);
        -1
    }
}

/// Calls glibc and writes what came of it, as one step for all threads.
fn recorded<T>(call: impl FnOnce() -> T, event: impl FnOnce(&T) -> Option<[u64; 4]>) -> T {
    let file = FILE.load(Ordering::Relaxed);
    // SAFETY: always allowed.
    if file < 0 || unsafe { libc::getpid() } != PROCESS.load(Ordering::Relaxed) {
        return call();
    }
    while LOCK.swap(true, Ordering::Acquire) {
        std::hint::spin_loop();
    }
    let result = call();
    if let Some(event) = event(&result) {
        write(file, &event);
    }
    LOCK.store(false, Ordering::Release);
    result
}

fn write(file: c_int, event: &[u64; 4]) {
    // SAFETY: errno is this thread's own; programs look at it after a call that failed, so it stays as glibc left it.
    // The bytes are those of the array.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        let written = libc::write(file, event.as_ptr().cast(), size_of_val(event));
        if written != size_of_val(event).cast_signed() {
            // A trace with a hole would mislead: it ends here.
            FILE.store(-1, Ordering::Relaxed);
        }
        *errno = before;
    }
}

fn allocated(block: &*mut c_void, size: size_t) -> Option<[u64; 4]> {
    (!block.is_null()).then(|| [ALLOCATE, block.addr() as u64, size as u64, 0])
}

/// See malloc(3).
#[unsafe(no_mangle)]
pub extern "C" fn malloc(size: size_t) -> *mut c_void {
    recorded(
        // SAFETY: glibc's function takes any size, and touches no memory of its caller.
        || unsafe { __libc_malloc(size) },
        |block| allocated(block, size),
    )
}

/// See calloc(3).
#[unsafe(no_mangle)]
pub extern "C" fn calloc(count: size_t, size: size_t) -> *mut c_void {
    recorded(
        // SAFETY: any sizes are allowed.
        || unsafe { __libc_calloc(count, size) },
        |block| {
            let event = [
                ALLOCATE_ZEROED,
                block.addr() as u64,
                count as u64,
                size as u64,
            ];
            (!block.is_null()).then_some(event)
        },
    )
}

/// See realloc(3).
///
/// # Safety
///
/// As there: `block` is NULL or a live block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn realloc(block: *mut c_void, size: size_t) -> *mut c_void {
    let before = block.addr() as u64;
    recorded(
        // SAFETY: the caller's promise.
        || unsafe { __libc_realloc(block, size) },
        |after| match (block.is_null(), after.is_null()) {
            (true, _) => allocated(after, size),
            (false, false) => Some([RESIZE, after.addr() as u64, size as u64, before]),
            // glibc frees the block when the size is 0; otherwise it failed and the block is as it was.
            (false, true) => (size == 0).then_some([FREE, before, 0, 0]),
        },
    )
}

/// See reallocarray(3).
///
/// # Safety
///
/// As [`realloc`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reallocarray(
    block: *mut c_void,
    count: size_t,
    size: size_t,
) -> *mut c_void {
    match count.checked_mul(size) {
        // SAFETY: the caller's promise.
        Some(bytes) => unsafe { realloc(block, bytes) },
        None => {
            // SAFETY: errno is this thread's own.
            unsafe { *libc::__errno_location() = libc::ENOMEM };
            ptr::null_mut()
        }
    }
}

/// See free(3).
///
/// # Safety
///
/// As there: `block` is NULL or a live block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free(block: *mut c_void) {
    let address = block.addr() as u64;
    recorded(
        // SAFETY: the caller's promise.
        || unsafe { __libc_free(block) },
        |()| (address != 0).then_some([FREE, address, 0, 0]),
    );
}

/// See memalign(3).
#[unsafe(no_mangle)]
pub extern "C" fn memalign(alignment: size_t, size: size_t) -> *mut c_void {
    recorded(
        // SAFETY: glibc's function takes any alignment and size, refuses what it can't serve, and touches no memory of its
        // caller.
        || unsafe { __libc_memalign(alignment, size) },
        |block| allocated(block, size),
    )
}

/// See aligned_alloc(3).
#[unsafe(no_mangle)]
pub extern "C" fn aligned_alloc(alignment: size_t, size: size_t) -> *mut c_void {
    memalign(alignment, size)
}

/// See valloc(3).
#[unsafe(no_mangle)]
pub extern "C" fn valloc(size: size_t) -> *mut c_void {
    memalign(4096, size)
}

/// See posix_memalign(3).
///
/// # Safety
///
/// As there: `block` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_memalign(
    block: *mut *mut c_void,
    alignment: size_t,
    size: size_t,
) -> c_int {
    if !alignment.is_power_of_two() || !alignment.is_multiple_of(size_of::<*mut c_void>()) {
        return libc::EINVAL;
    }
    let allocated = memalign(alignment, size);
    if allocated.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: the caller's promise.
    unsafe { *block = allocated };
    0
}
