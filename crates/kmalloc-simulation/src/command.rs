// SPDX-License-Identifier: BSD-2-Clause
//! The command line. The tool behind `./simulate` has read it for us already, and says what is wrong with it in its own
//! way.

use std::path::PathBuf;
use std::str::FromStr;

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Seeds from one on, until the time is over.
    Seeds {
        /// The first one.
        first: u64,
        /// How long; with 0 the first seed alone.
        minutes: f64,
        /// Where a failure is written to.
        folder: PathBuf,
    },
    /// What a file says.
    Replay {
        /// The file.
        file: PathBuf,
    },
}

impl Command {
    /// Reads `--seed N --minutes M --output FOLDER` or `--replay FILE`.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn read(arguments: impl IntoIterator<Item = String>) -> Result<Command, String> {
        let (mut first, mut minutes, mut folder, mut replay) = (0, 1.0, PathBuf::from("."), None);
        let mut arguments = arguments.into_iter();
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} of what?"))?;
            match name.as_str() {
                "--seed" => first = number(&name, &value)?,
                "--minutes" => minutes = number(&name, &value)?,
                "--output" => folder = value.into(),
                "--replay" => replay = Some(value.into()),
                _ => return Err(format!("there is no option {name}")),
            }
        }
        if !(0.0..=1e6).contains(&minutes) {
            return Err(format!("--minutes {minutes} can't be"));
        }
        Ok(match replay {
            Some(file) => Command::Replay { file },
            None => Command::Seeds {
                first,
                minutes,
                folder,
            },
        })
    }
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, String> {
    let number = value.parse();
    number.map_err(|_| format!("{name} {value} is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Command, String> {
        Command::read(line.split_whitespace().map(String::from))
    }

    #[test]
    fn options_are_read() {
        let seeds = |first, minutes, folder: &str| {
            Ok(Command::Seeds {
                first,
                minutes,
                folder: folder.into(),
            })
        };
        assert_eq!(read(""), seeds(0, 1.0, "."));
        let line = "--seed 7 --minutes 0.5 --output there";
        assert_eq!(read(line), seeds(7, 0.5, "there"));
        let file = "it.txt".into();
        assert_eq!(read("--replay it.txt"), Ok(Command::Replay { file }));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, complaint) in [
            ("--seed", "--seed of what?"),
            ("--seed x", "--seed x is no number"),
            ("--minutes -1", "--minutes -1 can't be"),
            ("--minutes NaN", "--minutes NaN can't be"),
            ("--sead 1", "there is no option --sead"),
        ] {
            assert_eq!(read(line), Err(complaint.to_string()));
        }
    }
}
