//! `why R in (S)`: clause by clause, whether a node meets it and what shows that; for members and others alike.

use arrow::record_batch::RecordBatch;

use super::attribute::Node;
use super::bits::{Bits, Nodes};
use super::eval::Evaluator;
use super::plan::Plan;
use super::witness::Witness;
use super::world::World;
use crate::output::{Columns, Heading, OutputError};
use crate::syntax::ast::Set;
use crate::syntax::{print_clause, quote};

/// What one clause comes to for one node.
pub(super) struct Reason {
    /// The node.
    node: String,
    /// How deep the clause stands: 0 is the whole set.
    level: u32,
    /// The clause, in the canonical spelling.
    clause: String,
    /// Whether it holds.
    holds: bool,
    /// What shows it, in words.
    because: Option<String>,
    /// The nodes that show it: a path in order, or events.
    evidence: Vec<String>,
}

/// The reasons of each node of a subject, in the order in which they are asked.
pub(super) fn reasons(evaluator: &Evaluator<'_>, nodes: &[Node], set: &Set, plan: &Plan) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for node in nodes {
        let mut why = Why { node: *node, name: evaluator.world.node_name(*node), reasons: Vec::new() };
        why.clause(evaluator, set, plan, 0);
        reasons.append(&mut why.reasons);
    }
    reasons
}

/// One node, and the reasons so far.
struct Why {
    node: Node,
    name: String,
    reasons: Vec<Reason>,
}

impl Why {
    /// Says whether a clause holds, and then the same of its parts.
    fn clause(&mut self, evaluator: &Evaluator<'_>, set: &Set, plan: &Plan, level: u32) -> bool {
        let at = self.reasons.len();
        let mut evidence = Vec::new();
        let holds = evaluator.is_in(plan, self.node);
        self.reasons.push(self.reason(level, print_clause(set), holds));
        let because = match (set, plan) {
            (Set::And(members), Plan::And(plans)) => {
                let met = members.iter().zip(plans).filter(|(m, p)| self.clause(evaluator, m, p, level + 1)).count();
                Some(format!("{met} of {} hold", plans.len()))
            }
            (Set::Or(members), Plan::Or(plans)) => {
                let met = members.iter().zip(plans).filter(|(m, p)| self.clause(evaluator, m, p, level + 1)).count();
                Some(format!("{met} of {} hold, one is enough", plans.len()))
            }
            (Set::Not(inner), Plan::Not(plan)) if is_compound(inner) => {
                let met = self.clause(evaluator, inner, plan, level + 1);
                Some(if met { "the inner one holds" } else { "the inner one does not hold" }.to_owned())
            }
            (Set::At(at), Plan::At(world, plan)) => {
                let inner = Evaluator::new(world);
                self.clause(&inner, &at.set, plan, level + 1);
                Some(format!("asked as of {}", world.until))
            }
            (Set::Saved(_), Plan::Saved(saved)) => {
                self.clause(evaluator, &saved.set, &saved.plan, level + 1);
                Some("a saved query".to_owned())
            }
            (_, plan) => {
                let plan = if let Plan::Not(inner) = plan { inner } else { plan };
                let told = Witness::new(evaluator, self.node).of(plan);
                evidence = told.nodes;
                told.text
            }
        };
        self.reasons[at].because = because;
        self.reasons[at].evidence = evidence.into_iter().map(|node| evaluator.world.node_name(node)).collect();
        holds
    }

    fn reason(&self, level: u32, clause: String, holds: bool) -> Reason {
        Reason { node: self.name.clone(), level, clause, holds, because: None, evidence: Vec::new() }
    }
}

/// Whether a set has clauses of its own to speak of.
fn is_compound(set: &Set) -> bool {
    matches!(set, Set::And(_) | Set::Or(_) | Set::Not(_) | Set::At(_) | Set::Saved(_))
}

impl Evaluator<'_> {
    /// Whether a node is in a set.
    pub(super) fn is_in(&self, plan: &Plan, node: Node) -> bool {
        let mut only = Nodes::of_node(node);
        self.narrow(plan, &mut only);
        !only.is_empty()
    }
}

impl Nodes {
    /// One node.
    pub(super) fn of_node(node: Node) -> Self {
        match node {
            Node::Version(v) => Self::of_versions(Bits::of([v])),
            Node::Step(e) => Self::of_steps(Bits::of([e])),
            Node::Event(e) => Self { events: Bits::of([e]), single: true, ..Self::default() },
            Node::Agent(a) => Self::of_agents(Bits::of([a])),
        }
    }
}

impl World {
    /// A node as the language names it: `model churn@v4`, `event '#17'`.
    pub(super) fn node_name(&self, node: Node) -> String {
        match node {
            Node::Version(v) => self.version_name(v),
            Node::Step(e) | Node::Event(e) => format!("event '#{e}'"),
            Node::Agent(a) => format!("agent {}", quote(self.view.text(a))),
        }
    }
}

/// One row for each reason.
pub(super) fn rows(reasons: &[Reason]) -> Result<RecordBatch, OutputError> {
    let mut columns = Columns::new();
    columns.text(&Heading::new("node").about("what is asked about"), reasons.iter().map(|r| Some(&r.node)));
    let level = Heading::new("level").about("how deep the clause stands; 0 is the whole set");
    columns.unsigned(&level, reasons.iter().map(|r| Some(u64::from(r.level))));
    columns.text(&Heading::new("clause").about("as the language writes it"), reasons.iter().map(|r| Some(&r.clause)));
    columns.boolean(&Heading::new("holds").about("whether it holds"), reasons.iter().map(|r| Some(r.holds)));
    columns.text(&Heading::new("because").about("what shows it"), reasons.iter().map(|r| r.because.as_ref()));
    let evidence = Heading::new("evidence").about("the nodes that show it: a path in order, or events");
    columns.list(&evidence, reasons.iter().map(|r| Some(r.evidence.iter())));
    columns.finish()
}
