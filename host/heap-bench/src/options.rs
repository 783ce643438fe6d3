// SPDX-License-Identifier: BSD-2-Clause
//! The command line.

use crate::instructions;

/// What the bench is to do.
pub struct Options {
    /// Instructions are counted too.
    pub instructions: bool,
    /// Everything once, and little of it.
    pub quick: bool,
    /// What a workload's name has to contain.
    pub only: String,
    /// Timed rounds.
    pub rounds: usize,
    /// Where the list of figures goes.
    pub json: Option<String>,
}

impl Options {
    /// Reads the command line.
    pub fn parse(arguments: &[String]) -> Result<Options, String> {
        let mut options = Options {
            instructions: false,
            quick: false,
            only: String::new(),
            rounds: 15,
            json: None,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || {
                let value = arguments.next().cloned();
                value.ok_or_else(|| format!("{argument} needs a value"))
            };
            match argument.as_str() {
                "--instructions" => options.instructions = true,
                "--quick" => options.quick = true,
                "--only" => options.only = value()?,
                "--rounds" => {
                    options.rounds = value()?.parse().map_err(|_| "--rounds needs a number")?
                }
                "--json" => options.json = Some(value()?),
                _ => return Err(format!("unknown argument {argument}")),
            }
        }
        if options.quick {
            options.rounds = 1;
        }
        if options.rounds == 0 {
            return Err("--rounds needs at least 1".into());
        }
        if options.instructions && !instructions::are_available() {
            return Err("--instructions needs valgrind: `./simulate setup` installs it".into());
        }
        Ok(options)
    }
}
