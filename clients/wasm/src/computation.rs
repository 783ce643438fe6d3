// SPDX-License-Identifier: BSD-2-Clause
//! What the interpreter is made to compute. The build script runs the same on the host, for the results to expect.

use alloc::collections::BTreeMap;
use wasmi::{Caller, Engine, Error, Linker, Module, Store};

/// What a call of the module came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What the function returned.
    pub returned: i64,
    /// How many different numbers it recorded.
    pub recorded: usize,
    /// Sum of these, by how often each came.
    pub recorded_sum: i64,
    /// Pages of its memory at the end, 64 KiB each.
    pub pages: u64,
}

/// The exported functions that are called, each with a size.
pub const CALLS: [(&str, i32); 4] = [
    ("sieve", 200_000),
    ("sort", 100_000),
    ("matrix", 60),
    ("ackermann", 60),
];

/// Runs a function of the module, in an engine and a store of its own.
pub fn call(wasm: &[u8], function: &str, size: i32) -> Result<Outcome, Error> {
    let engine = Engine::default();
    let module = Module::new(&engine, wasm)?;
    let mut linker: Linker<BTreeMap<i64, i64>> = Linker::new(&engine);
    linker.func_wrap(
        "host",
        "record",
        |mut caller: Caller<'_, BTreeMap<i64, i64>>, number: i64| {
            *caller.data_mut().entry(number).or_default() += 1;
        },
    )?;
    let mut store = Store::new(&engine, BTreeMap::new());
    let instance = linker.instantiate_and_start(&mut store, &module)?;
    let function = instance.get_typed_func::<i32, i64>(&store, function)?;
    let returned = function.call(&mut store, size)?;
    let pages = match instance.get_memory(&store, "memory") {
        Some(memory) => memory.size(&store),
        None => 0,
    };
    let recorded = store.data();
    Ok(Outcome {
        returned,
        recorded: recorded.len(),
        recorded_sum: recorded.iter().fold(0, |sum: i64, (number, times)| {
            sum.wrapping_add(number.wrapping_mul(*times))
        }),
        pages,
    })
}
