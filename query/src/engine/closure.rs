//! Closures of versions over all edges, from edges laid out version to version once a view is walked often.

use lineage_store::graph::{Adjacency, Direction, Makes, Steps, Use, VersionId};

use super::bits::{Bits, Nodes};
use super::walk::{Edges, Reach, counts_about, inputs_for, outputs_for};
use super::world::World;

/// A walk that reaches so many versions is a large one.
const LARGE_WALK: usize = 4096;

/// Everything that a set of versions leads to in one direction, within some steps; without it, and without steps.
///
/// `None` when only a walk can tell: copies or links must be crossed, or the edges are not laid out (yet).
pub(super) fn closure(
    world: &World,
    columns: &Steps<'_>,
    start: &Bits,
    direction: Direction,
    depth: u32,
) -> Option<Reach> {
    let edges = world.view.adjacency(direction, |most| lay_out(world, columns, direction, most))?;
    let mut versions = search(world, edges, start, depth);
    versions.subtract(start);
    Some(Reach { nodes: Nodes::of_versions(versions), crossed: false })
}

/// The edges of a view; none where copies or links are to be crossed, too.
fn lay_out(world: &World, columns: &Steps<'_>, direction: Direction, most: usize) -> Option<Adjacency> {
    if !world.copies().is_empty() {
        return None;
    }
    Adjacency::new(world.view.n_versions(), most, |version, targets| match direction {
        Direction::Downstream => targets_of(world, columns, version, targets),
        Direction::Upstream => sources_of(world, columns, version, targets),
    })
}

/// Takes note of a walk that went the common way.
pub(super) fn walked(world: &World, direction: Direction, reached: &Nodes) {
    if reached.versions.len() >= LARGE_WALK {
        world.view.walked_far(direction);
    }
}

/// Breadth first; the start set and what it leads to.
fn search(world: &World, edges: &Adjacency, start: &Bits, depth: u32) -> Bits {
    let mut seen = Bits::with_room(world.view.n_versions());
    let mut frontier: Vec<VersionId> = start.iter().collect();
    for version in &frontier {
        seen.insert(*version);
    }
    let mut next = Vec::new();
    for _ in 0..depth {
        if frontier.is_empty() {
            break;
        }
        for version in frontier.drain(..) {
            if !world.budget.step() {
                return seen;
            }
            for target in edges.of(version) {
                if seen.insert(*target) {
                    next.push(*target);
                }
            }
        }
        std::mem::swap(&mut frontier, &mut next);
    }
    seen
}

/// What one step leads to from a version: as a walk leaves it.
fn targets_of(world: &World, columns: &Steps<'_>, version: VersionId, targets: &mut Vec<VersionId>) {
    columns.uses(version, |event, usage| {
        if usage == Use::About && !columns.kind(event).carries_about() {
            return;
        }
        match columns.makes(event) {
            Makes::Nothing => {}
            Makes::One(made) => targets.push(made),
            Makes::Several => targets.extend(columns.several(event)),
            Makes::More => {
                targets.extend(outputs_for(world, world.view.leader(event), version, usage, Edges::ALL));
            }
        }
    });
}

/// What one step leads to a version from: as a walk enters it.
fn sources_of(world: &World, columns: &Steps<'_>, version: VersionId, sources: &mut Vec<VersionId>) {
    let view = &world.view;
    let mut leaders = Vec::new();
    view.makers(version, |event| match (columns.makes(event), view.plain(event)) {
        (Makes::One(_) | Makes::Several, Some(uses)) => {
            sources.extend(uses.filter(|(_, usage)| counts_about(view, event, *usage)).map(|(source, _)| source));
        }
        _ => leaders.push(view.leader(event)),
    });
    leaders.sort_unstable();
    leaders.dedup();
    for leader in leaders {
        sources.extend(inputs_for(world, leader, version, Edges::ALL));
    }
}
