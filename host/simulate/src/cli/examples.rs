// SPDX-License-Identifier: BSD-2-Clause
//! What stands below the help of each command. A test reads each line as a command line.

/// Below the help of the tool itself.
pub const ALL: &str = "\
Examples:
  ./simulate                           run clients/system.toml
  ./simulate --trace traces/jq.trace   replay an allocation trace
  ./simulate --icount --json out.json  repeatable to the byte; what was found, in a file
  ./simulate test                      every test, on the host and in QEMU
  ./simulate test krealloc             those with krealloc in their name
  ./simulate bench                     what calls and allocations cost, beside others
  ./simulate fuzz --minutes 30         random clients and a failing kernel, on the host, until one check fails
  ./simulate report -o report.html     run, and show the run as a page for a browser
  ./simulate new counter               a client program of your own, and a system to run it in
  ./simulate --system clients/systems/counter.toml
  ./simulate gdb --system clients/systems/c.toml -- -ex 'break _start'
  ./simulate record -o my.trace -- jq . file.json
  ./simulate completions bash          what bash needs to complete all this; load it by `source`
  SEL4_PREFIX=/opt/seL4 ./simulate     on a kernel of your own";

/// Of `run`.
pub const RUN: &str = "\
Examples:
  ./simulate run --system clients/systems/family.toml
  ./simulate run --trace traces/jq.trace --heap resident
  ./simulate run --quiet --json run.json --trace-out run.trace";

/// Of `test`.
pub const TEST: &str = "\
Examples:
  ./simulate test krealloc             those with krealloc in their name
  ./simulate test --host               only those on the host
  ./simulate test sharing --kernel debug
  ./simulate test --quiet --json tests.json";

/// Of `bench`.
pub const BENCH: &str = "\
Examples:
  ./simulate bench --target --json bench.json  what is counted in QEMU, in a file for `report --bench`
  ./simulate bench --host --instructions       allocators on this machine, counted by valgrind as well
  ./simulate bench --target --baseline         what is counted now is right from now on";

/// Of `setup`.
pub const SETUP: &str = "\
Examples:
  ./simulate setup --check             what is missing
  ./simulate setup                     install it";

/// Of `report`.
pub const REPORT: &str = "\
Examples:
  ./simulate report --system clients/systems/family.toml -o family.html
  ./simulate report --trace-in run.trace --results run.json
  ./simulate report --results tests.json --bench bench.json";

/// Of `record`.
pub const RECORD: &str = "\
Examples:
  ./simulate record -o my.trace -- jq . file.json
  ./simulate record -o begin.trace --operations 10000 -- python3 -c 'print(1)'
  ./simulate --trace my.trace          what was recorded, on the server";

/// Of `new`.
pub const NEW: &str = "\
Examples:
  ./simulate new counter               makes clients/counter and clients/systems/counter.toml
  ./simulate --system clients/systems/counter.toml";

/// Of `gdb`.
pub const GDB: &str = "\
Examples:
  ./simulate gdb                       stops before the machine's first instruction
  ./simulate gdb --system clients/systems/c.toml -- -ex 'break _start'";

/// Of `fuzz`.
pub const FUZZ: &str = "\
Examples:
  ./simulate fuzz --minutes 30         from a seed by the clock, on all cores
  ./simulate fuzz --seed 7 --minutes 0
  ./simulate fuzz --replay build/fuzz/seed-7.txt";

/// Of `completions`.
pub const COMPLETIONS: &str = "\
Examples:
  ./simulate completions bash          for this shell: `source <(./simulate completions bash)`
  ./simulate completions zsh";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::{CommandFactory, Parser};

    #[test]
    fn every_example_is_a_command_line() {
        let examples = [
            ALL,
            RUN,
            TEST,
            BENCH,
            SETUP,
            REPORT,
            RECORD,
            NEW,
            GDB,
            FUZZ,
            COMPLETIONS,
        ];
        let lines = examples.iter().flat_map(|text| text.lines());
        for line in lines.filter(|line| line.contains("./simulate")) {
            // What it does stands behind two spaces; a variable may stand before it.
            let (_, command) = line.split_once("./simulate").unwrap();
            let command = command.split("  ").next().unwrap();
            let words = std::iter::once("simulate").chain(command.split_whitespace());
            Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn every_command_has_examples_of_itself() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string);
            let own = format!("./simulate {}", command.get_name());
            assert!(help.is_some_and(|help| help.contains(&own)), "{own}");
        }
    }
}
