//! The budget of a statement: steps and time are counted while it is evaluated, rows when they are there.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use crate::syntax::Diagnostic;

/// The clock is asked once in so many steps.
const STEPS_BETWEEN_LOOKS: u64 = 1024;

/// What an answer may cost; by default anything.
#[derive(Clone, Default)]
pub struct Limits {
    /// The most steps: nodes that a walk leaves or a condition looks at.
    pub steps: Option<u64>,
    /// The most rows.
    pub rows: Option<u64>,
    /// Whether the time is up; asked now and then.
    pub out_of_time: Option<Rc<dyn Fn() -> bool>>,
    /// Whether what was found so far is an answer, too.
    pub partial: bool,
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timed = self.out_of_time.is_some();
        write!(f, "Limits({:?} steps, {:?} rows, timed {timed}, partial {})", self.steps, self.rows, self.partial)
    }
}

/// What was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exceeded {
    Steps(u64),
    Time,
}

/// Limits, and what was spent of them.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    limits: Limits,
    spent: Cell<u64>,
    exceeded: Cell<Option<Exceeded>>,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Spends one step; whether evaluation may go on.
    pub(crate) fn step(&self) -> bool {
        if self.exceeded.get().is_some() {
            return false;
        }
        let spent = self.spent.get() + 1;
        self.spent.set(spent);
        match self.limits.steps {
            Some(most) if spent > most => self.exceeded.set(Some(Exceeded::Steps(most))),
            _ if spent.is_multiple_of(STEPS_BETWEEN_LOOKS) => self.look(),
            _ => {}
        }
        self.exceeded.get().is_none()
    }

    /// Asks the clock.
    fn look(&self) {
        if self.limits.out_of_time.as_ref().is_some_and(|out_of_time| out_of_time()) {
            self.exceeded.set(self.exceeded.get().or(Some(Exceeded::Time)));
        }
    }

    /// The steps spent so far.
    pub(crate) fn spent(&self) -> u64 {
        self.spent.get()
    }

    /// The most rows, where fewer than there are may be shown.
    pub(crate) fn rows_shown(&self) -> Option<u64> {
        self.limits.rows.filter(|_| self.limits.partial)
    }

    /// Once everything is evaluated: why rows may be missing, if they may; an error unless that was allowed.
    pub(crate) fn settle(&self, rows: u64) -> Result<Option<String>, Diagnostic> {
        self.look();
        let (code, text, help) = match (self.exceeded.get(), self.limits.rows) {
            (Some(Exceeded::Steps(most)), _) => {
                ("E0502", format!("the answer takes more than --budget-steps {most}"), "--budget-steps N")
            }
            (Some(Exceeded::Time), _) => ("E0503", "the answer takes longer than --timeout".to_owned(), "--timeout D"),
            (None, Some(most)) if rows > most => {
                ("E0501", format!("the answer has {rows} rows, more than --max-rows {most}"), "limit N")
            }
            (None, _) => return Ok(None),
        };
        if self.limits.partial {
            let cut = if code == "E0501" {
                ""
            } else {
                "; some may not belong where `not`, `except`, `every` or `only` is asked"
            };
            return Ok(Some(format!("{text}: rows are missing{cut}")));
        }
        let advice =
            format!("narrow the question, raise it with `{help}`, or take what is found by then with --partial");
        Err(Diagnostic::new(code, text).help(advice))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(limits: Limits, steps: u64) -> Budget {
        let budget = Budget::new(limits);
        let went_on = (0..steps).take_while(|_| budget.step()).count() as u64;
        assert!(went_on == steps || budget.exceeded.get().is_some());
        budget
    }

    #[test]
    fn the_last_step_within_is_allowed() {
        let limits = Limits { steps: Some(3), ..Limits::default() };
        assert_eq!(budget(limits.clone(), 3).settle(0), Ok(None));
        assert_eq!(budget(limits.clone(), 4).settle(0).expect_err("one too many").code, "E0502");
        let partial = budget(Limits { partial: true, ..limits }, 9);
        assert!(partial.settle(0).expect("allowed").expect("a reason").contains("--budget-steps 3"));
        assert_eq!(partial.spent(), 4, "nothing is spent once it is exceeded");
    }

    #[test]
    fn the_clock_is_asked_now_and_then_and_at_the_end() {
        let looks = Rc::new(Cell::new(0));
        let counted = Rc::clone(&looks);
        let out_of_time = Rc::new(move || counted.replace(counted.get() + 1) >= 2);
        let limits = Limits { out_of_time: Some(out_of_time), ..Limits::default() };
        let budget = budget(limits, 2 * STEPS_BETWEEN_LOOKS);
        assert_eq!(looks.get(), 2);
        assert_eq!(budget.settle(0).expect_err("the third look").code, "E0503");
    }

    #[test]
    fn rows_count_at_the_end() {
        let limits = Limits { rows: Some(2), ..Limits::default() };
        assert_eq!(Budget::new(limits.clone()).settle(2), Ok(None));
        assert_eq!(Budget::new(limits.clone()).settle(3).expect_err("too many").code, "E0501");
        assert_eq!(Budget::new(limits.clone()).rows_shown(), None);
        assert_eq!(Budget::new(Limits { partial: true, ..limits }).rows_shown(), Some(2));
    }
}
