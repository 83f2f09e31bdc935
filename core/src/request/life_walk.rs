//! Walks every life that can be reached with up to three runs, every event in each, and checks what must always hold.
//!
//! Beside the life goes a *shadow*: what the world knows without looking into the life (which runs were promised,
//! which cancels were granted, whether a task exists). The invariants compare the two.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::*;

const RUNS: u64 = 3;
const CAUSES: [Cause; 3] = [Cause::Asked, Cause::Deadline, Cause::Dropped];
const STAGES: u8 = 2;

/// What the outside world knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Shadow {
    /// The handle exists.
    handle: bool,
    /// The right to run or deliver exists: a task in an executor, or a stack frame that polls or delivers.
    task: bool,
    /// Runs that began or were promised and have not settled.
    open: BTreeSet<u64>,
    /// Runs of which somebody was told "it will end as cancelled".
    granted: BTreeSet<u64>,
    /// A cancel or close during delivery: no run may begin until the next start.
    halted: bool,
}

type State = (Life, Shadow);

/// All states, and for each the edges to others, found breadth first.
struct Walk {
    states: BTreeMap<String, State>,
    edges: Vec<(State, Event, State, Command)>,
}

#[test]
fn every_reachable_life_keeps_its_promises() {
    let walk = walk();
    assert!(walk.states.len() > 300, "the walk found only {} states", walk.states.len());
    for (life, shadow) in walk.states.values() {
        check(*life, shadow);
    }
    for ((_, before), event, (life, after), command) in &walk.edges {
        check_settlement(before, after, *command, *event, *life);
    }
}

#[test]
fn every_run_settles_when_its_owners_do_their_part() {
    for (life, shadow) in walk().states.into_values() {
        let mut state = (life, shadow);
        for _ in 0..32 {
            if state.1.open.is_empty() {
                break;
            }
            let event = match state.0.phase {
                Phase::Queued { .. } | Phase::Woken { .. } => Event::Enter,
                Phase::Running { nudged: true, .. } => Event::Pended,
                Phase::Running { stage, .. } => Event::Over { ok: true, last: stage + 1 == STAGES },
                Phase::Parked { .. } => Event::Nudge { tag: state.0.run.tag() },
                Phase::Delivering { .. } => Event::Delivered { ok: true, again: false },
                Phase::Idle { .. } => unreachable!("an idle request has no open run: {state:?}"),
            };
            let (life, command) = state.0.on(event).expect("the owner's event is accepted");
            state = (life, step(&state, event, life, command));
        }
        assert!(state.1.open.is_empty(), "never settles: {state:?}");
    }
}

#[test]
fn a_life_survives_its_word() {
    for (life, _) in walk().states.into_values() {
        assert_eq!(Life::from_word(life.to_word()), life);
    }
}

#[test]
fn events_out_of_place_are_refused() {
    for (life, shadow) in walk().states.into_values() {
        let legal: BTreeSet<String> =
            events(life, &shadow).into_iter().map(|event| name(&format!("{event:?}"))).collect();
        for event in owner_events() {
            if !legal.contains(&name(&format!("{event:?}"))) {
                assert_eq!(life.on(event), Err(Refused::Protocol), "{event:?} in {life:?}");
            }
        }
    }
}

#[test]
fn a_late_token_never_reaches_a_later_run() {
    for (life, _) in walk().states.into_values() {
        let mut run = RunId::NONE.next();
        while run.is_before(life.run) {
            let late = Event::Cancel { run: Some(run), cause: Cause::Asked };
            assert_eq!(life.on(late), Err(Refused::NotRunning), "{life:?}");
            let nudge = Event::Nudge { tag: run.tag() };
            assert_eq!(life.on(nudge), Ok((life, Command::Nothing)), "{life:?}");
            run = run.next();
        }
    }
}

#[test]
fn the_list_of_arrows_in_the_docs_is_complete() {
    let mut arrows = BTreeSet::new();
    for ((before, _), event, (after, _), _) in walk().edges {
        let (from, to) = (name(&format!("{:?}", before.phase)), name(&format!("{:?}", after.phase)));
        if from != to || before.run != after.run {
            arrows.insert(format!("| {from} | {} | {to} |", name(&format!("{event:?}"))));
        }
    }
    let page = include_str!("../../../docs/life-of-a-request.md");
    let documented: BTreeSet<String> = page
        .lines()
        .filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit())
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            format!("| {} | {} | {} |", cells[2], cells[3], cells[4])
        })
        .collect();
    let missing: Vec<_> = arrows.difference(&documented).collect();
    let stale: Vec<_> = documented.difference(&arrows).collect();
    assert!(missing.is_empty() && stale.is_empty(), "not in the page: {missing:#?}\nonly there: {stale:#?}");
}

fn name(debug: &str) -> String {
    debug.split([' ', '{', '(']).next().unwrap_or_default().into()
}

/// What must hold of every state.
fn check(life: Life, shadow: &Shadow) {
    let idle = matches!(life.phase, Phase::Idle { .. });
    assert_eq!(idle, shadow.open.is_empty(), "idle means that nothing is open: {life:?} {shadow:?}");
    assert!(idle || shadow.open.contains(&life.run.get()), "the current run is open: {life:?} {shadow:?}");
    let owned = !matches!(life.phase, Phase::Idle { .. } | Phase::Parked { .. }) || caller_waits(life);
    assert_eq!(owned, shadow.task, "exactly one party owns the work: {life:?} {shadow:?}");
    assert!(!idle || life.cancel.is_none(), "a cancel does not outlive its run: {life:?}");
    assert!(!life.orphan || life.closed, "{life:?}");
    assert_eq!(life.orphan, !shadow.handle, "{life:?} {shadow:?}");
    for run in &shadow.granted {
        let current = *run == life.run.get();
        let kept = match life.phase {
            Phase::Delivering { verdict, .. } if current => matches!(verdict, Verdict::Cancelled(_)),
            _ => life.cancel.is_some(),
        };
        assert!(kept, "a granted cancel is remembered until the run is over: {life:?} {shadow:?}");
    }
}

/// On the caller's route the right to go on stays with the caller, also while the stage is parked.
fn caller_waits(life: Life) -> bool {
    life.route == Route::Caller && matches!(life.phase, Phase::Parked { .. })
}

/// What must hold when a run settles.
fn check_settlement(before: &Shadow, after: &Shadow, command: Command, event: Event, life: Life) {
    let settled: Vec<_> = before.open.difference(&after.open).collect();
    let (run, verdict) = match command {
        Command::Settle { run, verdict }
        | Command::SettleThenBegin { run, verdict }
        | Command::SettleThenDeliver { run, verdict, .. } => (run.get(), verdict),
        _ => return assert!(settled.is_empty(), "{event:?} closes a run without settling it: {life:?}"),
    };
    assert_eq!(settled, [&run], "a run settles once, and alone");
    if before.granted.contains(&run) {
        assert!(matches!(verdict, Verdict::Cancelled(_)), "granted, yet {verdict:?} by {event:?}");
    }
    if before.halted {
        let begins = matches!(command, Command::SettleThenBegin { .. });
        assert!(!begins, "after a cancel during delivery no run begins by itself: {event:?} {life:?}");
    }
}

fn walk() -> Walk {
    let first = (
        Life::NEW,
        Shadow { handle: true, task: false, open: BTreeSet::new(), granted: BTreeSet::new(), halted: false },
    );
    let mut walk = Walk { states: BTreeMap::new(), edges: Vec::new() };
    let mut todo = alloc::vec![first];
    while let Some(state) = todo.pop() {
        if walk.states.insert(format!("{state:?}"), state.clone()).is_some() {
            continue;
        }
        for event in events(state.0, &state.1) {
            let Ok((life, command)) = state.0.on(event) else { continue };
            let next = (life, step(&state, event, life, command));
            walk.edges.push((state.clone(), event, next.clone(), command));
            todo.push(next);
        }
    }
    walk
}

/// The events that somebody could bring in this state.
fn events(life: Life, shadow: &Shadow) -> Vec<Event> {
    let mut events = Vec::new();
    let next = life.run.next();
    let on_callers_stack = life.route == Route::Caller && !shadow.open.is_empty();
    if shadow.handle {
        if next.get() <= RUNS {
            let routes = [Route::Executors, Route::Caller, Route::Silent];
            events.extend(routes.map(|route| Event::Start { run: next, route }));
            events.push(Event::Start { run: next.next(), route: Route::Executors });
        }
        events.push(Event::Close);
        if !(on_callers_stack && matches!(life.phase, Phase::Running { .. } | Phase::Delivering { .. })) {
            events.push(Event::Orphan);
        }
    }
    for cause in CAUSES {
        events.push(Event::Cancel { run: None, cause });
        events.push(Event::Cancel { run: Some(life.run), cause });
        events.push(Event::Cancel { run: Some(next), cause });
    }
    events.push(Event::Nudge { tag: life.run.tag() });
    events.push(Event::Nudge { tag: life.run.tag() ^ 1 });
    if shadow.task {
        for event in owner_events() {
            let possible = match (life.phase, event) {
                (Phase::Queued { .. } | Phase::Woken { .. }, Event::Enter | Event::Fail | Event::Abandon) => {
                    true
                }
                (Phase::Queued { stage: 0 }, Event::Refuse) => true,
                (Phase::Running { stage, .. }, Event::Over { last, .. }) => last == (stage + 1 == STAGES),
                (Phase::Running { .. }, Event::Pended) => true,
                (Phase::Delivering { .. }, Event::Abandon) => true,
                (Phase::Delivering { .. }, Event::Delivered { again, .. }) => !again || next.get() <= RUNS,
                (Phase::Queued { .. } | Phase::Parked { .. } | Phase::Woken { .. }, Event::Release) => {
                    life.route == Route::Caller
                }
                _ => false,
            };
            if possible {
                events.push(event);
            }
        }
    }
    events
}

fn owner_events() -> Vec<Event> {
    let mut events =
        alloc::vec![Event::Enter, Event::Pended, Event::Fail, Event::Refuse, Event::Abandon, Event::Release];
    for ok in [true, false] {
        for flag in [true, false] {
            events.push(Event::Over { ok, last: flag });
            events.push(Event::Delivered { ok, again: flag });
        }
    }
    events
}

/// The shadow after an event that was accepted.
fn step((before, shadow): &State, event: Event, after: Life, command: Command) -> Shadow {
    let mut shadow = shadow.clone();
    match event {
        Event::Start { run, .. } => {
            assert!(shadow.open.insert(run.get()), "a run starts once");
            shadow.halted = false;
        }
        Event::Cancel { run, .. } if command != Command::Halted => {
            let promised = matches!(before.phase, Phase::Delivering { .. });
            let run = run.unwrap_or(if promised { before.run.next() } else { before.run });
            assert!(shadow.open.contains(&run.get()), "only an open run can be cancelled");
            shadow.granted.insert(run.get());
        }
        Event::Orphan => shadow.handle = false,
        _ => {}
    }
    if matches!(command, Command::Halted) || matches!(event, Event::Close | Event::Orphan) {
        shadow.halted = matches!(after.phase, Phase::Delivering { .. });
    }
    match command {
        Command::Dispatch { .. } => {
            let passed_on =
                matches!(event, Event::Over { .. } | Event::Pended) || before.route == Route::Caller;
            assert!(passed_on || !shadow.task, "a second task for one request: {before:?} {event:?}");
            shadow.task = true;
        }
        Command::Rest => shadow.task = after.route == Route::Caller,
        Command::Deliver { .. } => assert!(shadow.task, "only an owner delivers"),
        Command::Settle { run, .. } => {
            assert!(shadow.open.remove(&run.get()), "a run settles once");
            shadow.task = false;
        }
        Command::SettleThenBegin { run, .. } | Command::SettleThenDeliver { run, .. } => {
            assert!(shadow.open.remove(&run.get()), "a run settles once");
            shadow.open.insert(after.run.get());
        }
        Command::Free => assert!(!shadow.task, "memory is freed while somebody owns the work"),
        Command::Nothing | Command::Halted | Command::Withdraw { .. } | Command::Poll { .. } => {}
    }
    shadow.granted.retain(|run| shadow.open.contains(run));
    shadow.halted &= matches!(after.phase, Phase::Delivering { .. });
    shadow
}
