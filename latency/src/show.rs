//! How far a run is, on standard error: live in a terminal, else a line for each that is done.

use crate::plan::Progress;
use crate::table::shown;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;

/// Steps of a bar.
const STEPS: u64 = 1000;

/// A line for each URL and transport.
pub struct Show {
    all: MultiProgress,
    bars: Vec<ProgressBar>,
    /// Lines that were told of as done.
    done: Vec<usize>,
    is_live: bool,
}

impl Default for Show {
    fn default() -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        Self { all, bars: Vec::new(), done: Vec::new(), is_live: std::io::stderr().is_terminal() }
    }
}

impl Show {
    /// Something went on.
    pub fn tell(&mut self, progress: &Progress) {
        if self.is_live { self.draw(progress) } else { self.print(progress) }
    }

    fn draw(&mut self, progress: &Progress) {
        while self.bars.len() < progress.lines {
            let bar = self.all.add(ProgressBar::new(STEPS));
            if let Ok(style) = ProgressStyle::with_template("{bar:12} {prefix}  {msg}") {
                bar.set_style(style);
            }
            self.bars.push(bar);
        }
        let Some(bar) = self.bars.get(progress.line) else { return };
        bar.set_prefix(progress.name.clone());
        bar.set_message(message(progress));
        bar.set_position((progress.share * STEPS as f64) as u64);
    }

    fn print(&mut self, progress: &Progress) {
        let is_over = progress.share >= 1.0;
        if is_over && !self.done.contains(&progress.line) {
            self.done.push(progress.line);
            eprintln!("{}: {}", progress.name, message(progress));
        }
    }

    /// Leaves the lines as they are.
    pub fn end(&self) {
        for bar in &self.bars {
            bar.abandon();
        }
    }
}

fn message(progress: &Progress) -> String {
    if let Some(error) = &progress.error {
        return error.clone();
    }
    let [ack, median, p99] = progress.known.map(shown);
    let failed = if progress.failed > 0 { format!(", {} failed", progress.failed) } else { String::new() };
    format!("ack {ack} ms, propagation {median} ms, p99 {p99} ms{failed}")
}
