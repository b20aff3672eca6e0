//! Tasks, and the order in which they run: of those that could go on, the dice choose one.

use super::clock::{Instant, Sleep};
use crate::report::Dice;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use tokio::sync::oneshot;

/// Steps at one instant: a run of a minute takes fewer in all. More of them lead nowhere.
const STEPS_AT_ONCE_MAX: u64 = 1_000_000;

/// The run itself, among the ids of tasks.
const MAIN: u64 = 0;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Executor>>> = const { RefCell::new(None) };
}

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;
type Ready = Arc<Mutex<Vec<u64>>>;

/// All that one run has.
pub(super) struct Executor {
    now_ns: Cell<u64>,
    dice: RefCell<Dice>,
    ready: Ready,
    tasks: RefCell<BTreeMap<u64, Task>>,
    tasks_born: Cell<u64>,
    timers: RefCell<BTreeMap<(u64, u64), Waker>>,
    timers_set: Cell<u64>,
    /// Whose task runs now.
    life: RefCell<Life>,
    trace: Cell<Trace>,
    steps_at_once: Cell<u64>,
}

struct Task {
    life: Life,
    job: Job,
    knock: Arc<Knock>,
}

/// Puts a task among those that can go on, once.
struct Knock {
    id: u64,
    queued: AtomicBool,
    ready: Ready,
}

impl Wake for Knock {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.ready.lock().unwrap_or_else(PoisonError::into_inner).push(self.id);
        }
    }
}

/// What a run did, in few numbers: two runs of one seed have the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// How often a task went on.
    pub steps: u64,
    /// Which ones, and when.
    pub hash: u64,
}

impl Trace {
    fn step(self, id: u64, now_ns: u64) -> Self {
        let hash = Dice(self.hash ^ id.rotate_left(32) ^ now_ns).below(u64::MAX);
        Self { steps: self.steps + 1, hash }
    }
}

/// Runs `main` and what it starts until `main` ends. What is left over is dropped.
pub(in crate::raft) fn run<F: Future>(seed: u64, main: F) -> (F::Output, Trace) {
    let executor = Rc::new(Executor {
        now_ns: Cell::new(0),
        dice: RefCell::new(Dice(seed)),
        ready: Arc::default(),
        tasks: RefCell::default(),
        tasks_born: Cell::new(MAIN),
        timers: RefCell::default(),
        timers_set: Cell::new(0),
        life: RefCell::new(Life::begin()),
        trace: Cell::default(),
        steps_at_once: Cell::new(0),
    });
    let entered = Entered::new(executor.clone());
    let output = executor.block_on(main);
    drop(entered);
    (output, executor.trace.get())
}

/// The runtime of this thread until it is dropped.
struct Entered(Rc<Executor>);

impl Entered {
    fn new(executor: Rc<Executor>) -> Self {
        let before = CURRENT.replace(Some(executor.clone()));
        assert!(before.is_none(), "one run at a time on a thread");
        Self(executor)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let tasks = self.0.tasks.take();
        // What panicked is not to be touched again: its panic is the finding.
        match std::thread::panicking() {
            true => std::mem::forget(tasks),
            false => drop(tasks),
        }
        CURRENT.take();
    }
}

fn current() -> Rc<Executor> {
    let current = CURRENT.with_borrow(Clone::clone);
    current.expect("invariant: only what runs in the runtime asks for it")
}

impl Executor {
    fn block_on<F: Future>(&self, main: F) -> F::Output {
        let mut main = pin!(main);
        let knock = self.knock(MAIN);
        let waker = Waker::from(knock.clone());
        knock.wake_by_ref();
        loop {
            let Some(id) = self.next_ready() else {
                self.advance();
                continue;
            };
            self.trace.set(self.trace.get().step(id, self.now_ns.get()));
            self.steps_at_once.set(self.steps_at_once.get() + 1);
            assert!(self.steps_at_once.get() < STEPS_AT_ONCE_MAX, "tasks spin: no time passes");
            if id != MAIN {
                self.step(id);
                continue;
            }
            knock.queued.store(false, Ordering::Relaxed);
            if let Poll::Ready(output) = main.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
        }
    }

    fn next_ready(&self) -> Option<u64> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let length = ready.len() as u64;
        let at = (length > 0).then(|| self.dice.borrow_mut().below(length))?;
        Some(ready.swap_remove(at as usize))
    }

    /// Nothing can go on now: it is the next timer's time.
    fn advance(&self) {
        let first = self.timers.borrow_mut().pop_first();
        let ((at_ns, _), waker) = first.expect("everybody waits for ever");
        self.now_ns.set(self.now_ns.get().max(at_ns));
        self.steps_at_once.set(0);
        waker.wake();
    }

    fn step(&self, id: u64) {
        // Taken out, because the task may start others. Who is gone needs no step.
        let Some(mut task) = self.tasks.borrow_mut().remove(&id) else { return };
        if task.life.hold(id) {
            self.tasks.borrow_mut().insert(id, task);
            return;
        }
        task.knock.queued.store(false, Ordering::Relaxed);
        let waker = Waker::from(task.knock.clone());
        let before = self.life.replace(task.life.clone());
        let polled = task.job.as_mut().poll(&mut Context::from_waker(&waker));
        self.life.replace(before);
        if polled.is_pending() && !task.life.is_over() {
            self.tasks.borrow_mut().insert(id, task);
        }
    }

    fn knock(&self, id: u64) -> Arc<Knock> {
        Arc::new(Knock { id, queued: AtomicBool::new(false), ready: self.ready.clone() })
    }

    fn start(&self, life: Life, job: Job) {
        let id = self.tasks_born.get() + 1;
        self.tasks_born.set(id);
        let knock = self.knock(id);
        knock.wake_by_ref();
        self.tasks.borrow_mut().insert(id, Task { life, job, knock });
    }

    /// Sets a timer; the key is its time and its number.
    pub(super) fn set_timer(&self, at_ns: u64, waker: Waker) -> (u64, u64) {
        let number = self.timers_set.get() + 1;
        self.timers_set.set(number);
        self.timers.borrow_mut().insert((at_ns, number), waker);
        (at_ns, number)
    }

    pub(super) fn drop_timer(&self, key: (u64, u64)) {
        let _gone = self.timers.borrow_mut().remove(&key);
    }
}

/// Uses the runtime of this thread, if there is one: at the end of a run timers are dropped
/// without.
pub(super) fn with_current(act: impl FnOnce(&Executor)) {
    if let Some(executor) = CURRENT.with_borrow(Clone::clone) {
        act(&executor);
    }
}

/// What starts and ends together: the tasks of one process.
#[derive(Clone)]
pub(in crate::raft) struct Life(Arc<LifeState>);

struct LifeState {
    stage: AtomicU8,
    /// Those that would have gone on while it was paused.
    held: Mutex<Vec<u64>>,
}

const RUNS: u8 = 0;
const PAUSED: u8 = 1;
const OVER: u8 = 2;

impl Life {
    pub(in crate::raft) fn begin() -> Self {
        Self(Arc::new(LifeState { stage: AtomicU8::new(RUNS), held: Mutex::default() }))
    }

    /// Starts a task of this life. One of a life that is over never runs.
    pub(in crate::raft) fn spawn<F>(&self, future: F) -> Joined<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        if !self.is_over() {
            let job = async move {
                let _nobody_waits = sender.send(future.await);
            };
            current().start(self.clone(), Box::pin(job));
        }
        Joined(receiver)
    }

    /// Ends it, as `kill -9` does: no task goes on, whatever it was about to do.
    pub(in crate::raft) fn kill(&self) {
        self.0.stage.store(OVER, Ordering::Relaxed);
        let executor = current();
        let of_this = |task: &mut Task| Arc::ptr_eq(&task.life.0, &self.0);
        let ended: Vec<Task> = {
            let mut tasks = executor.tasks.borrow_mut();
            tasks.extract_if(.., |_, task| of_this(task)).map(|(_, task)| task).collect()
        };
        drop(ended);
    }

    /// Lets nothing of it go on, as SIGSTOP does; the clock does.
    pub(in crate::raft) fn pause(&self) {
        let _over = self.change(RUNS, PAUSED);
    }

    pub(in crate::raft) fn resume(&self) {
        if self.change(PAUSED, RUNS) {
            let held = std::mem::take(&mut *self.held());
            current().ready.lock().unwrap_or_else(PoisonError::into_inner).extend(held);
        }
    }

    fn change(&self, from: u8, to: u8) -> bool {
        let order = Ordering::Relaxed;
        self.0.stage.compare_exchange(from, to, order, order).is_ok()
    }

    /// Keeps the id for later while this life is paused.
    fn hold(&self, id: u64) -> bool {
        let is_paused = self.0.stage.load(Ordering::Relaxed) == PAUSED;
        if is_paused {
            self.held().push(id);
        }
        is_paused
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Vec<u64>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::raft) fn is_over(&self) -> bool {
        self.0.stage.load(Ordering::Relaxed) == OVER
    }
}

/// Waits for the end of a task.
pub(in crate::raft) struct Joined<T>(oneshot::Receiver<T>);

impl<T> Future for Joined<T> {
    type Output = Result<T, Ended>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_err(|_| Ended)
    }
}

/// The task ended with its life.
#[derive(Clone, Copy, Debug)]
pub(in crate::raft) struct Ended;

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task ended with its life")
    }
}

/// Starts a task of whoever runs now.
pub(in crate::raft) fn spawn<F>(future: F) -> Joined<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let life = current().life.borrow().clone();
    life.spawn(future)
}

/// A number below `bound`, from the run's dice.
pub(in crate::raft) fn roll(bound: u64) -> u64 {
    current().dice.borrow_mut().below(bound)
}

/// Since the run began.
pub(in crate::raft) fn now() -> Instant {
    Instant::from_ns(current().now_ns.get())
}

/// Waits.
pub(in crate::raft) fn sleep(duration: Duration) -> Sleep {
    Sleep::until(now() + duration)
}
