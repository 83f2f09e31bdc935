//! The mutants: mistakes that somebody could make, and which kind of test must find each.
//!
//! Nothing here runs: `mutants.rs` plants them.

use super::By::{Behaviours, Models, Tests};
use super::Mutant;

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        by: Models,
        name: "a relaxed swap of the life",
        file: "core/src/request/shared.rs",
        from: "life.to_word(), Ordering::AcqRel, Ordering::Acquire)",
        to: "life.to_word(), Ordering::Relaxed, Ordering::Relaxed)",
    },
    Mutant {
        by: Models,
        name: "a wake of a running stage is lost",
        file: "core/src/request/life.rs",
        from: "(Running { stage, .. }, Nudge { tag }) if tag == self.run.tag() => {
                Ok((self.to(Running { stage, nudged: true }), Nothing))",
        to: "(Running { stage, .. }, Nudge { tag }) if tag == self.run.tag() => {
                Ok((self.to(Running { stage, nudged: false }), Nothing))",
    },
    Mutant {
        by: Models,
        name: "a wake that changes nothing is not swapped in",
        file: "core/src/request/shared.rs",
        from: "let (life, command) = before.on(event)?;",
        to: "let (life, command) = before.on(event)?;
            if life == before && command == Command::Nothing {
                return Ok((life, command));
            }",
    },
    Mutant {
        by: Models,
        name: "a cancel is forgotten when the last stage succeeds",
        file: "core/src/request/life.rs",
        from: "Ok(self.end(self.verdict_or(Verdict::Done)))",
        to: "Ok(self.end(Verdict::Done))",
    },
    Mutant {
        by: Models,
        name: "a cancel does not mind the run's number",
        file: "core/src/request/life.rs",
        from: "(_, Cancel { run: Some(run), .. }) if run != self.run => Err(Refused::NotRunning),",
        to: "",
    },
    Mutant {
        by: Models,
        name: "a loop ends while a helper is inside",
        file: "core/src/crew.rs",
        from: "if inside == 0 || rest.look(&left, true) {",
        to: "if inside <= 1 || rest.look(&left, true) {",
    },
    Mutant {
        by: Models,
        name: "the last helper wakes nobody",
        file: "core/src/crew.rs",
        from: "if inside == AWAITED | 1 {",
        to: "if inside == AWAITED {",
    },
    Mutant {
        by: Models,
        name: "a helper that falls asleep is counted as one that looks",
        file: "core/src/crew.rs",
        from: "self.looking.fetch_sub(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !rang() && !dismissed() {
            self.rest.sleep(&self.bell, heard);
        }",
        to: "fence(Ordering::SeqCst);
        if !rang() && !dismissed() {
            self.rest.sleep(&self.bell, heard);
        }
        self.looking.fetch_sub(1, Ordering::Relaxed);",
    },
    Mutant {
        by: Models,
        name: "who rings counts sleepers before the ring can be seen",
        file: "core/src/crew.rs",
        from: "        // See `rest`.
        fence(Ordering::SeqCst);
",
        to: "",
    },
    Mutant {
        by: Models,
        name: "a waiter looks first and registers afterwards",
        file: "core/src/request/ledger.rs",
        from: "Slot::Settled(outcome) => Answer::Ready(outcome.clone()),
                Slot::Waiting { waker: Some",
        to: "Slot::Settled(outcome) if fresh.is_none() => Answer::Ready(outcome.clone()),
                Slot::Settled(_) => Answer::Kept,
                Slot::Waiting { waker: Some",
    },
    Mutant {
        by: Models,
        name: "waiters are told before the callback",
        file: "core/src/request/drive.rs",
        from: "let (task, answer) = self.call_back(life.run, verdict);",
        to: "self.shared().ledger.settle(Outcome { run: life.run, verdict, error: None });
        let (task, answer) = self.call_back(life.run, verdict);",
    },
    Mutant {
        by: Models,
        name: "a device is not told that its run goes no further",
        file: "core/src/request/drive.rs",
        from: "if !begun || done {",
        to: "if begun || !begun || done {",
    },
    Mutant {
        by: Models,
        name: "a task dropped by its executor is forgotten",
        file: "core/src/request/task.rs",
        from: "if let Some(task) = task.abandon() {
            task.run(&Lend::SERIAL);
        }",
        to: "drop(task.into_arc());",
    },
    Mutant {
        by: Models,
        name: "the inbox forgets the order",
        file: "core/src/request/inbox.rs",
        from: "let link = unsafe { &(*newest).link };
            let before = link.load(Ordering::Relaxed);
            link.store(oldest.cast_mut(), Ordering::Relaxed);
            oldest = newest;
            newest = before;",
        to: "oldest = newest;
            break;",
    },
    Mutant {
        by: Models,
        name: "the inbox is published without its links",
        file: "core/src/request/inbox.rs",
        from: "compare_exchange_weak(newest, added, Ordering::AcqRel, Ordering::Relaxed)",
        to: "compare_exchange_weak(newest, added, Ordering::Relaxed, Ordering::Relaxed)",
    },
    Mutant {
        by: Models,
        name: "a slot that gets idle starts nothing",
        file: "core/src/jobs/drive.rs",
        from: "self.collect();
        self.pump();",
        to: "self.collect();",
    },
    Mutant {
        by: Models,
        name: "the pump looks and stops under two locks",
        file: "core/src/jobs/drive.rs",
        from: "state.pumping = next.is_some();
            next
        };
        while let Some((index, request, inputs)) = self.state.with(next) {
            self.start(index, request, inputs);
            self.room();
        }",
        to: "next
        };
        while let Some((index, request, inputs)) = self.state.with(next) {
            self.start(index, request, inputs);
            self.room();
        }
        self.state.with(|state| state.pumping = false);",
    },
    Mutant {
        by: Models,
        name: "nobody watches the run of a slot",
        file: "core/src/jobs/drive.rs",
        from: "slot.settled = settled;",
        to: "drop(settled);",
    },
    Mutant {
        by: Models,
        name: "a pool of jobs is quiet before the last handler has returned",
        file: "core/src/jobs/state.rs",
        from: "self.queue.len() == 0 && self.idle() == self.slots.len()",
        to: "self.queue.len() == 0 && self.slots.iter().all(|slot| slot.job.is_none())",
    },
    Mutant {
        by: Models,
        name: "who waits for room is not told that a slot is idle",
        file: "core/src/jobs/drive.rs",
        from: "mem::forget(right);
        self.room();",
        to: "mem::forget(right);",
    },
    Mutant {
        by: Models,
        name: "who waits for room is not told that a result was taken",
        file: "core/src/jobs/wait.rs",
        from: "if matches!(next, Poll::Ready(Some(_))) {
            inner.room();
        }",
        to: "",
    },
    Mutant {
        by: Models,
        name: "a granted cancel of a job is forgotten when its run is done",
        file: "core/src/jobs/drive.rs",
        from: "let error = if was_cancelled { Some(cancelled(run)) } else { done.error().cloned() };",
        to: "let error = done.error().cloned().filter(|_| !was_cancelled);",
    },
    Mutant {
        by: Tests,
        name: "a cancel that comes while its job is being started is forgotten",
        file: "core/src/jobs/drive.rs",
        from: "(None, slot.token.clone().filter(|_| slot.cancelled))",
        to: "(None, slot.token.clone().filter(|_| false))",
    },
    Mutant {
        by: Tests,
        name: "a displaced job is not told",
        file: "core/src/jobs/drive.rs",
        from: "self.end_unstarted(old, InferError::new(InferErrorKind::Abandoned, error));",
        to: "drop((old, error));",
    },
    Mutant {
        by: Tests,
        name: "an ordered result is put where its job ended, not where it was submitted",
        file: "core/src/jobs/board.rs",
        from: "self.places[(job - self.first) as usize] = Some(result),",
        to: "{
                let place = self.places.iter().position(Option::is_none).unwrap_or(job as usize);
                self.places[place] = Some(result);
            }",
    },
    Mutant {
        by: Tests,
        name: "results that nobody takes pile up",
        file: "core/src/jobs/board.rs",
        from: "self.open += 1;",
        to: "self.open += 0;",
    },
    Mutant {
        by: Tests,
        name: "a job is displaced for one that cannot come in",
        file: "core/src/jobs/state.rs",
        from: "if !self.board.has_room() {
            return Door::Refused(job, Refusal::Untaken);
        }
        match self.queue.room(job.priority, self.idle()) {
            Room::Full => return Door::Refused(job, Refusal::Full),
            Room::Free => {}",
        to: "match self.queue.room(job.priority, self.idle()) {
            Room::Full => return Door::Refused(job, Refusal::Full),
            Room::Free if !self.board.has_room() => return Door::Refused(job, Refusal::Untaken),
            Room::Free => {}",
    },
    Mutant {
        by: Tests,
        name: "who waits for room is not told of the close",
        file: "core/src/jobs/drive.rs",
        from: "self.wake_all(|state| &mut state.submitters);",
        to: "",
    },
    Mutant {
        by: Tests,
        name: "a later submit overtakes those who wait",
        file: "core/src/jobs/wait.rs",
        from: "let turn = state.submitters.is_first(*place);",
        to: "let turn = state.submitters.is_empty() || place.is_some();",
    },
    Mutant {
        by: Tests,
        name: "a job remembers the one before",
        file: "core/src/jobs/drive.rs",
        from: "let reset = request.reset_variables();",
        to: "let reset = Ok::<(), BindError>(());",
    },
    Mutant {
        by: Tests,
        name: "a panic that passes through a submit keeps the slot",
        file: "core/src/jobs/drive.rs",
        from: "        self.0.collect();",
        to: "",
    },
    Mutant {
        by: Tests,
        name: "a bus leaves with the passengers of another",
        file: "core/src/batch/stop.rs",
        from: "line.boarding = Some(bus);",
        to: "line.boarding = None;",
    },
    Mutant {
        by: Tests,
        name: "the passengers of a lost bus wait for ever",
        file: "core/src/batch/bus.rs",
        from: "self.seats.extend(left_behind);
        self.arrive(",
        to: "drop(left_behind);
        self.seats.clear();
        self.arrive(",
    },
    Mutant {
        by: Tests,
        name: "a passenger is let in where no bus comes any more",
        file: "core/src/batch/stop.rs",
        from: "if line.open == 0 {
                return (None, Some(ticket));",
        to: "if line.open == usize::MAX {
                return (None, Some(ticket));",
    },
    Mutant {
        by: Behaviours,
        name: "a full batch waits for the limit",
        file: "core/src/batch/stop.rs",
        from: "line.count() < self.size && due",
        to: "due",
    },
    Mutant {
        by: Behaviours,
        name: "a lone passenger wakes no bus",
        file: "core/src/batch/stop.rs",
        from: "if count != 1 && count < size {",
        to: "if count < size {",
    },
    Mutant {
        by: Behaviours,
        name: "the limit begins anew with each passenger",
        file: "core/src/batch/stop.rs",
        from: "self.tasks.front().map",
        to: "self.tasks.back().map",
    },
    Mutant {
        by: Behaviours,
        name: "who has got off is computed all the same",
        file: "core/src/batch/ticket.rs",
        from: "(rows, unused) = self.state.with(|state| match state.trip == trip {",
        to: "(rows, unused) = self.state.with(|state| match state.trip >= trip {",
    },
    Mutant {
        by: Behaviours,
        name: "a batch that all have got off goes on",
        file: "core/src/batch/bus.rs",
        from: "if self.seats.iter().all(|(ticket, trip)| !ticket.is_on(*trip)) {",
        to: "if false {",
    },
    Mutant {
        by: Behaviours,
        name: "the error of a batch reaches its first passenger only",
        file: "core/src/batch/bus.rs",
        from: "ended.clone()?;",
        to: "if at == 0 {
                    ended.clone()?;
                }",
    },
    Mutant {
        by: Behaviours,
        name: "passengers get each other's rows",
        file: "core/src/batch/bus.rs",
        from: "rows.get(at * output.len()..)",
        to: "rows.get(0 * at..)",
    },
    Mutant {
        by: Models,
        name: "a cancelled run moves its variables on",
        file: "core/src/request/drive.rs",
        from: "if verdict == Verdict::Done {
                body.io.advance();",
        to: "if verdict != Verdict::Failed {
                body.io.advance();",
    },
    Mutant {
        by: Tests,
        name: "a failed run moves its variables on",
        file: "core/src/request/drive.rs",
        from: "if verdict == Verdict::Done {
                body.io.advance();",
        to: "if !matches!(verdict, Verdict::Cancelled(_)) {
                body.io.advance();",
    },
    Mutant {
        by: Models,
        name: "a reset of all variables is forgotten",
        file: "core/src/request/states.rs",
        from: "(0..self.kept.cells.len()).for_each(|index| self.reset_at(index));",
        to: "",
    },
    Mutant {
        by: Tests,
        name: "a run after a reset writes over the initial value of everybody",
        file: "core/src/request/states.rs",
        from: "if let Some(spare) = cell.spare.take() {
                *next = spare;
            }",
        to: "cell.spare = None;",
    },
    Mutant {
        by: Tests,
        name: "a value is set into the initial value of everybody",
        file: "core/src/request/states.rs",
        from: "let own = spare.as_mut().unwrap_or(bound);",
        to: "let own = bound;",
    },
    Mutant {
        by: Tests,
        name: "an id of the dead means the next object of its slot",
        file: "core/src/remote.rs",
        from: "place.generation = next;",
        to: "let _ = next;",
    },
    Mutant {
        by: Models,
        name: "the graveyard forgets the dead when it grows",
        file: "core/src/remote.rs",
        from: "larger.extend_from_slice(dead);",
        to: "",
    },
    Mutant {
        by: Tests,
        name: "an object of another context is taken for one's own",
        file: "core/src/remote.rs",
        from: "if id.context != self.id {",
        to: "if false {",
    },
];
