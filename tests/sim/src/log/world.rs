//! Instances and what they do, step by step.

use super::tasks::{Job, Retry, Task, poll, start};
use crate::lowering::Lowering;
use crate::model::{Deletion, Document, Reader, Sight};
use crate::outcome::{Counts, Outcome, Violation};
use crate::plan::Plan;
use crate::rng::Rng;
use crate::store::{Ask, Flight, Shared, Store, View};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use yonder_core::OpId;
use yonder_core::kv::KvConfig;
use yonder_core::log::{Life, LogError, LogOp, LogReply, Offset};

/// Requests of one instance that are under way at a time.
pub(super) const TASKS: usize = 4;
/// Milliseconds after which a host cuts a request off.
pub(super) const REQUEST_MAX: u64 = 30_000;
/// Readers of a document.
const READERS: usize = 4;

/// Instances, their store, and the documents as they must be.
pub struct World<L> {
    pub(super) plan: Plan,
    pub(super) rng: Rng,
    pub(super) shared: Rc<Shared>,
    pub(super) docs: Vec<Document>,
    pub(super) counts: Counts,
    pub(super) instances: Vec<Instance<L>>,
    pub(super) tasks: Vec<Option<Task<L>>>,
    pub(super) retries: Vec<Retry<L>>,
    step: u64,
    failovers: u32,
    trace: bool,
}

pub(super) struct Instance<L> {
    pub(super) objects: Vec<Option<Rc<L>>>,
    next_op: u64,
}

impl<L: Lowering> World<L> {
    /// A world of this plan.
    pub fn new(plan: &Plan, trace: bool) -> Self {
        let mut rng = Rng::new(plan.seed);
        let store = Store::new(plan.profile.clone(), Rng::new(plan.seed ^ 0x5707e), L::overwritten);
        let skew = plan.profile.skew;
        let skews =
            (0..plan.instances).map(|_| crate::store::NO_SKEW + rng.below(2 * skew + 1) - skew).collect();
        let shared = Shared { store: RefCell::new(store), polled: Cell::new(0), skews: RefCell::new(skews) };
        // The name of one is the beginning of the other's.
        let docs = vec![Document::new("notes", READERS), Document::new("notes-2", 1)];
        let instance = || Instance { objects: docs.iter().map(|_| None).collect(), next_op: 0 };
        Self {
            plan: plan.clone(),
            rng,
            shared: Rc::new(shared),
            instances: (0..plan.instances).map(|_| instance()).collect(),
            tasks: (0..plan.instances * TASKS).map(|_| None).collect(),
            retries: Vec::new(),
            docs,
            counts: Counts::default(),
            step: 0,
            failovers: 0,
            trace,
        }
    }

    /// Plays to the end.
    pub fn play(mut self) -> Outcome {
        let mut wrong = None;
        while self.step < self.plan.steps && wrong.is_none() {
            wrong = self.step().err();
            wrong = self.shared.store.borrow_mut().wrong.take().or(wrong);
            self.step += 1;
        }
        if wrong.is_none() {
            self.give_up_all();
            wrong = self.finish().err();
            wrong = self.shared.store.borrow_mut().wrong.take().or(wrong);
        }
        let violation = wrong.map(|what| Violation { step: self.step, what });
        Outcome { violation, steps: self.step, counts: self.counts }
    }

    /// One transition.
    fn step(&mut self) -> Result<(), String> {
        let weights = &self.plan.weights;
        let flights = {
            let mut store = self.shared.store.borrow_mut();
            store.now += self.rng.below(40);
            store.flights.len()
        };
        // The more is on its way, the less begins.
        let progress = 150 * flights.min(12) as u32;
        // Once, and not again and again: 8 numbers in a row may be empty, and not more.
        let failover = if self.failovers == 0 { self.plan.profile.miscounts } else { 0 };
        let choice = [progress, 220, 120, 20, weights.crash, 2 * weights.cut, 4 * weights.jump, failover];
        match self.rng.weighted(&choice) {
            0 => self.progress(),
            1 => self.begin(),
            2 => {
                let doc = usize::from(self.rng.chance(80));
                self.docs[doc].edit(&mut self.rng, self.plan.weights.large);
                Ok(())
            }
            3 => self.try_again(),
            4 => {
                self.crash();
                Ok(())
            }
            5 => {
                let task = self.rng.index(self.tasks.len());
                self.cut(task);
                Ok(())
            }
            6 => {
                self.jump();
                Ok(())
            }
            _ => {
                // Who holds a number that is given again would write over what another stored under it meanwhile; and who
                // remembers where the counter was may take a number that readers have passed: `sequenced` says so.
                (0..self.plan.instances).for_each(|instance| self.crash_of(instance));
                let mut store = self.shared.store.borrow_mut();
                store.flights.clear();
                store.miscount();
                self.failovers += 1;
                drop(store);
                self.say(self.now(), "counters are wrong");
                Ok(())
            }
        }
    }

    /// An operation reaches the store, or its answer the instance; often both, and often all that a task reads at once.
    fn progress(&mut self) -> Result<(), String> {
        let mut store = self.shared.store.borrow_mut();
        let index = self.rng.index(store.flights.len());
        let task = store.flights[index].task;
        let reads = |flight: &Flight| flight.task == task && matches!(flight.ask, Ask::Get(_));
        if task.is_some() && reads(&store.flights[index]) && self.rng.chance(700) {
            for index in (0..store.flights.len()).rev() {
                if reads(&store.flights[index]) {
                    if store.flights[index].answer.is_none() {
                        self.arrive(&mut store, index);
                    }
                    store.deliver(index);
                }
            }
        } else {
            if store.flights[index].answer.is_none() {
                self.arrive(&mut store, index);
                if store.wrong.is_some() || (self.rng.chance(300) && task.is_some()) {
                    return Ok(());
                }
            }
            store.deliver(index);
        }
        drop(store);
        task.map_or(Ok(()), |task| self.poll(task))
    }

    fn arrive(&self, store: &mut Store, index: usize) {
        store.arrive(index);
        if self.trace {
            let Flight { task, instance, ask, answer, .. } = &store.flights[index];
            self.say(store.now, &format!("{task:?} of {instance}: {ask:?} -> {answer:?}"));
        }
    }

    pub(super) fn say(&self, now: u64, what: &str) {
        if self.trace {
            println!("{:>6} {now:>9} ms  {what}", self.step);
        }
    }

    pub(super) fn now(&self) -> u64 {
        self.shared.store.borrow().now
    }

    fn poll(&mut self, index: usize) -> Result<(), String> {
        self.shared.polled.set(index);
        let Some(task) = &mut self.tasks[index] else { return Ok(()) };
        let Some((reply, _)) = poll(&mut task.running) else { return Ok(()) };
        let Some(task) = self.tasks[index].take() else { return Ok(()) };
        // What it asked and did not wait for goes on.
        self.shared.store.borrow_mut().orphan(index, 1_000);
        self.done(task, reply)
    }

    /// An instance's object for a document.
    pub(super) fn object(&mut self, instance: usize, doc: usize) -> Rc<L> {
        let (shared, name, config) = (&self.shared, &self.docs[doc].name, &self.plan.config);
        let object = &mut self.instances[instance].objects[doc];
        Rc::clone(
            object.get_or_insert_with(|| Rc::new(L::new(View::new(shared, instance), name, config.clone()))),
        )
    }

    pub(super) fn op(&mut self, instance: usize) -> OpId {
        self.instances[instance].next_op += 1;
        OpId(self.instances[instance].next_op)
    }

    /// Somebody asks an instance for something.
    fn begin(&mut self) -> Result<(), String> {
        let instance = self.rng.index(self.plan.instances);
        let doc = usize::from(self.rng.chance(80));
        let now = self.now();
        let weights = [
            40,
            30,
            3,
            self.plan.weights.compact,
            2 + 2 * self.plan.weights.delete,
            self.plan.weights.delete,
        ];
        let kind = self.rng.weighted(&weights);
        let object = self.object(instance, doc);
        let op = self.op(instance);
        let document = &mut self.docs[doc];
        let (job, request) = match kind {
            0 => {
                let most = self.rng.between(1, 3) as usize;
                let edits = document.take(&mut self.rng, most, now);
                if edits.is_empty() {
                    return Ok(());
                }
                let updates = edits.iter().map(|edit| document.edits[*edit].edit.bytes.clone()).collect();
                (Job::Append { edits, op, tries: 0 }, LogOp::Append { updates })
            }
            1 => {
                let reader = self.rng.index(document.readers.len());
                if document.readers[reader].busy {
                    return Ok(());
                }
                if self.rng.chance(30) {
                    document.readers[reader] = Reader::default();
                }
                document.readers[reader].busy = true;
                let since = document.readers[reader].place.clone();
                (Job::Load { reader, since: since.clone() }, LogOp::Load { since })
            }
            2 => (Job::Peek, LogOp::Load { since: Offset::END }),
            3 => (Job::Compact, LogOp::Compact { upto: document.end.clone() }),
            4 => {
                let most = self.rng.below(3) as usize;
                let edits = document.take(&mut self.rng, most, now);
                let updates = edits.iter().map(|edit| document.edits[*edit].edit.bytes.clone()).collect();
                (Job::Create { edits }, LogOp::Create { updates })
            }
            _ => {
                document.deletions.push(Deletion {
                    known: document.end.generation(),
                    ended: None,
                    generation: None,
                });
                (Job::Delete { attempt: document.deletions.len() - 1 }, LogOp::Delete)
            }
        };
        self.run(instance, doc, object, op, job, request)
    }

    fn run(
        &mut self,
        instance: usize,
        doc: usize,
        object: Rc<L>,
        op: OpId,
        job: Job,
        request: LogOp,
    ) -> Result<(), String> {
        let free = (instance * TASKS..(instance + 1) * TASKS).find(|index| self.tasks[*index].is_none());
        let began = self.now();
        let running = start(&object, op, request);
        let task = Task { instance, doc, job, began, object, running };
        let Some(index) = free else {
            // Too much to do.
            return self.give_up(task);
        };
        self.say(began, &format!("task {index} of {instance}: {:?}", task.job));
        self.tasks[index] = Some(task);
        self.poll(index)
    }

    fn done(&mut self, task: Task<L>, reply: Result<LogReply, LogError>) -> Result<(), String> {
        let now = self.now();
        if self.trace {
            let shown = match &reply {
                Ok(LogReply::Loaded(loaded)) => format!(
                    "snapshot {:?}, {} updates, {:?}",
                    loaded.snapshot.as_ref().map(|snapshot| snapshot.len()),
                    loaded.updates.len(),
                    loaded.tail
                ),
                other => format!("{other:?}"),
            };
            self.say(now, &format!("{:?} on {} of {}: {shown}", task.job, task.doc, task.instance));
        }
        let sight = self.sight(task.began);
        let staleness = self.plan.profile.staleness().filter(|_| self.plan.profile.miscounts == 0);
        let document = &mut self.docs[task.doc];
        let reply = match reply {
            Ok(reply) => {
                document.hear(&reply);
                reply
            }
            Err(LogError::Unavailable) => {
                self.counts.failures += 1;
                return self.unavailable(task);
            }
            Err(LogError::Deleted) if !document.deletions.is_empty() => return self.give_up(task),
            Err(error) => return Err(format!("I7: {:?} fails: {error}", task.job)),
        };
        match (task.job, reply) {
            (Job::Append { edits, .. }, LogReply::Appended(tail)) => {
                document.acknowledge(&edits, now, tail.end.generation(), &mut self.counts);
                if self.rng.chance(30) {
                    return self.look(task.doc);
                }
            }
            (Job::Create { edits }, LogReply::Created { existed, tail }) => {
                if tail.life != Life::Live && document.deletions.is_empty() {
                    return Err(format!("I9: a document that was made is {tail:?}"));
                }
                if existed {
                    document.unsent.extend(edits);
                } else {
                    // Deleted meanwhile: the place is the one from which it would begin anew.
                    let generation = tail.end.generation() - u64::from(tail.life == Life::Deleted);
                    document.acknowledge(&edits, now, generation, &mut self.counts);
                }
            }
            (Job::Load { reader, since }, LogReply::Loaded(loaded)) => {
                self.counts.loads += 1;
                document.readers[reader].busy = false;
                document.told(reader, &since, &loaded, sight, &mut self.rng)?;
            }
            (Job::Peek, LogReply::Loaded(_)) => {}
            (Job::Compact, LogReply::Compacted(_)) => {
                self.counts.compactions += 1;
                return self.look(task.doc);
            }
            (Job::Delete { attempt }, LogReply::Deleted { existed, tail }) => {
                self.counts.deletions += 1;
                let deletion = &mut document.deletions[attempt];
                deletion.ended = Some(now);
                // The place from which the document would begin anew, or has.
                deletion.generation = tail.end.generation().checked_sub(1);
                // Whoever sees all has deleted what was known to be there when it began.
                let known = Some(deletion.known).filter(|_| existed && staleness == Some(0));
                deletion.generation = deletion.generation.max(known);
                if existed || tail.life == Life::Deleted {
                    document.begin_anew(&mut self.rng);
                }
                return self.look(task.doc);
            }
            (job, reply) => return Err(format!("{job:?} is answered with {reply:?}")),
        }
        Ok(())
    }

    /// What a request that began at this time must see.
    pub(super) fn sight(&self, began: u64) -> Sight {
        let staleness = self.plan.profile.staleness().filter(|_| self.plan.profile.miscounts == 0);
        let trust = self.plan.config.trust + REQUEST_MAX;
        Sight {
            sees: staleness.and_then(|staleness| began.checked_sub(staleness + 1)),
            believes: staleness.map(|staleness| staleness + trust),
        }
    }

    /// The request failed, and may be tried again.
    fn unavailable(&mut self, task: Task<L>) -> Result<(), String> {
        if let Job::Append { edits, op, tries } = &task.job
            && *tries < 4
            && self.rng.chance(800)
        {
            let (instance, doc, object) = (task.instance, task.doc, task.object);
            self.retries.push(Retry {
                instance,
                doc,
                object,
                op: *op,
                edits: edits.clone(),
                tries: tries + 1,
            });
            return Ok(());
        }
        self.give_up(task)
    }

    /// Whoever asked is not answered, or with an error.
    pub(super) fn give_up(&mut self, task: Task<L>) -> Result<(), String> {
        let now = self.now();
        let document = &mut self.docs[task.doc];
        match task.job {
            Job::Append { edits, .. } | Job::Create { edits } => document.unsent.extend(edits),
            Job::Load { reader, .. } => document.readers[reader].busy = false,
            Job::Delete { attempt } => document.deletions[attempt].ended = Some(now),
            Job::Peek | Job::Compact => {}
        }
        Ok(())
    }

    fn try_again(&mut self) -> Result<(), String> {
        if self.retries.is_empty() {
            return Ok(());
        }
        let index = self.rng.index(self.retries.len());
        let Retry { instance, doc, object, op, edits, tries } = self.retries.swap_remove(index);
        let updates = edits.iter().map(|edit| self.docs[doc].edits[*edit].edit.bytes.clone()).collect();
        self.run(instance, doc, object, op, Job::Append { edits, op, tries }, LogOp::Append { updates })
    }

    /// A new instance, whose view of the store is perfect, or which is one of those that there are.
    pub(super) fn fresh(&self, doc: usize, instance: usize) -> Rc<L> {
        let config: KvConfig = self.plan.config.clone();
        Rc::new(L::new(View::new(&self.shared, instance), &self.docs[doc].name, config))
    }
}
