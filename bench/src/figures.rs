//! Figures: what was measured, what it should be, and the table both are shown in.

use std::fmt::{self, Write};

use serde::Serialize;

/// What a figure should be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Goal {
    /// No less than this.
    AtLeast(f64),
    /// No more than this.
    AtMost(f64),
}

impl Goal {
    /// Whether a value reaches it.
    pub fn reached(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "≥ {}", Grouped(*least)),
            Self::AtMost(most) => write!(f, "≤ {}", Grouped(*most)),
        }
    }
}

/// One measured value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// What it is, such as `p99`.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what, such as `ms`.
    pub unit: &'static str,
    /// What it should be, if anything.
    pub goal: Option<Goal>,
}

/// What one run, or the medians of several, measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// What was done.
    pub what: String,
    /// The figures, the one that matters first.
    pub figures: Vec<Figure>,
}

impl Row {
    /// A row without figures.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), figures: Vec::new() }
    }

    /// With one more figure.
    #[must_use]
    pub fn with(self, name: &str, value: f64, unit: &'static str) -> Self {
        self.add(name, value, unit, None)
    }

    /// With one more figure that should be so.
    #[must_use]
    pub fn with_goal(self, name: &str, value: f64, unit: &'static str, goal: Goal) -> Self {
        self.add(name, value, unit, Some(goal))
    }

    fn add(mut self, name: &str, value: f64, unit: &'static str, goal: Option<Goal>) -> Self {
        self.figures.push(Figure { name: name.to_owned(), value, unit, goal });
        self
    }

    /// One line of a Markdown table.
    pub fn markdown(&self, command: &str) -> String {
        let mut line = format!("| {} |", self.what);
        for (index, figure) in self.figures.iter().enumerate() {
            let separator = if index == 0 { " " } else { " · " };
            let _ = write!(line, "{separator}{} {}", figure.name, Grouped(figure.value));
            if !figure.unit.is_empty() {
                let _ = write!(line, " {}", figure.unit);
            }
            if let Some(goal) = figure.goal {
                let mark = if goal.reached(figure.value) { "reached" } else { "**missed**" };
                let _ = write!(line, " ({goal}: {mark})");
            }
        }
        let _ = write!(line, " | `{command}` |");
        line
    }
}

/// The head of the table the rows belong to.
pub const TABLE_HEAD: &str = "| run | measured | command |\n|---|---|---|";

/// The medians of runs of the same kind, figure by figure; `None` of no runs.
pub fn medians(rows: Vec<Row>) -> Option<Row> {
    let mut median = rows.first()?.clone();
    for (index, figure) in median.figures.iter_mut().enumerate() {
        let mut values: Vec<f64> =
            rows.iter().filter_map(|row| Some(row.figures.get(index)?.value)).collect();
        values.sort_unstable_by(f64::total_cmp);
        figure.value = values[values.len() / 2];
    }
    if rows.len() > 1 {
        let _ = write!(median.what, " (median of {})", rows.len());
    }
    Some(median)
}

/// Exact percentiles of times in microseconds, in milliseconds.
#[derive(Debug)]
pub struct Times(Vec<u32>);

impl Times {
    /// Of these times, in any order.
    pub fn new(mut micros: Vec<u32>) -> Self {
        micros.sort_unstable();
        Self(micros)
    }

    /// The time that this share (0 to 1) of all is at or below; 0 of none (nearest rank).
    pub fn at(&self, share: f64) -> f64 {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        let micros = self.0.get(rank.clamp(1, self.0.len().max(1)) - 1).copied().unwrap_or_default();
        f64::from(micros) / 1_000.0
    }
}

/// A number for people: thousands apart, decimals only where they say something.
struct Grouped(f64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.abs() < 100.0 && self.0.fract() != 0.0 {
            return write!(f, "{:.2}", self.0);
        }
        let digits = format!("{:.0}", self.0);
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && digit.is_ascii_digit() && (digits.len() - index).is_multiple_of(3) {
                f.write_char(',')?;
            }
            f.write_char(digit)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        let times = Times::new((1..=100).rev().map(|n| n * 1_000).collect());
        assert_eq!((times.at(0.5), times.at(0.99), times.at(1.0)), (50.0, 99.0, 100.0));
        assert_eq!(Times::new(vec![7_000]).at(0.99), 7.0);
        assert_eq!(Times::new(Vec::new()).at(0.5), 0.0);
    }

    #[test]
    fn medians_are_taken_figure_by_figure() {
        let row = |a, b| Row::new("x").with("a", a, "").with("b", b, "");
        let median = medians(vec![row(1.0, 30.0), row(2.0, 10.0), row(9.0, 20.0)]).unwrap();
        assert_eq!((median.figures[0].value, median.figures[1].value), (2.0, 20.0));
        assert!(medians(Vec::new()).is_none());
    }

    #[test]
    fn a_row_says_what_was_reached_and_what_was_missed() {
        let row = Row::new("intake")
            .with_goal("events", 1_234_567.0, "/s", Goal::AtLeast(15_000.0))
            .with_goal("p99", 20.5, "ms", Goal::AtMost(15.0));
        assert_eq!(
            row.markdown("run"),
            "| intake | events 1,234,567 /s (≥ 15,000: reached) · p99 20.50 ms (≤ 15: **missed**) | `run` |"
        );
    }
}
