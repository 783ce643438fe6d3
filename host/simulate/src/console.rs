// SPDX-License-Identifier: BSD-2-Clause
//! What a person sees. Results go to stdout and hold nothing that changes from run to run; progress goes to stderr.
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// For what went well.
pub const GOOD: Style = AnsiColor::Green.on_default().bold();
/// For what did not.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// For what is there in case it is needed.
pub const DIM: Style = Style::new().dimmed();
/// For headings.
pub const BOLD: Style = Style::new().bold();

/// The terminal, or whatever stands in for it.
#[derive(Clone, Copy, Debug)]
pub struct Console {
    quiet: bool,
}

/// A step that takes a while. On a terminal it is a line that moves and goes away at the end.
#[derive(Debug)]
pub struct Step {
    bar: ProgressBar,
}

impl Console {
    /// A console that shows progress, unless `quiet`.
    pub fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    /// Whether only results are wanted.
    pub fn is_quiet(self) -> bool {
        self.quiet
    }

    /// One line of progress that stays.
    pub fn note(self, text: &str) {
        if !self.quiet {
            anstream::eprintln!("{DIM}simulate: {text}{DIM:#}");
        }
    }

    /// Begins a step. Where nothing can move, it is announced in a line of its own.
    pub fn step(self, text: &str) -> Step {
        let bar = self.bar();
        if bar.is_hidden() {
            self.note(text);
        }
        bar.set_message(text.to_string());
        Step { bar }
    }

    /// A step that is only shown where it can go away again.
    pub fn transient_step(self, text: &str) -> Step {
        let bar = self.bar();
        bar.set_message(text.to_string());
        Step { bar }
    }

    fn bar(self) -> ProgressBar {
        if self.quiet {
            return ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        }
        let bar = ProgressBar::new_spinner();
        bar.set_style(style("{spinner} {msg} {elapsed}"));
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    }
}

impl Step {
    /// Changes what the step says.
    pub fn say(&self, text: String) {
        self.bar.set_message(text);
    }

    /// Shows that `done` of `total` parts are done.
    pub fn progress(&self, done: u64, total: u64) {
        if self.bar.length() != Some(total) {
            self.bar
                .set_style(style("{spinner} {msg} {wide_bar} {pos}/{len} {elapsed}"));
            self.bar.set_length(total);
        }
        self.bar.set_position(done);
    }

    /// Prints while the moving line is out of the way.
    pub fn print(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
