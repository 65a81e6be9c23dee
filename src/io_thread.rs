//! The primary's I/O thread: a current-thread tokio runtime that tells [`Primary`] when a socket
//! is ready, a time has come or JavaScript wants something.
//!
//! It decides nothing. JavaScript's thread tells it through [`IoThread`] what to do, and waits where
//! there is an answer or the program may rely on it: nothing on this thread ever blocks.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::{JoinHandle, LocalSet};

use crate::group::Accepted;
use crate::handoff::Handoff;
use crate::primary::{Ask, Options, Primary};
use crate::protocol::{Bound, ListenRequest, ListenerId, ServerId, WorkerId};
use crate::sys::fd;
use crate::sys::readiness::Readiness;

/// How long accepting rests when this process has no descriptor left.
const EXHAUSTION_PAUSE: Duration = Duration::from_millis(20);

/// How often at least it is looked after what waits.
const MAX_TICK: Duration = Duration::from_millis(5);

/// What JavaScript's thread can ask for.
enum Command {
    AddWorker(WorkerId, Handoff, OwnedFd),
    Listen(WorkerId, ListenRequest, bool),
    Attach(WorkerId, ServerId),
    Close(WorkerId, ServerId),
    Leave(WorkerId),
    RemoveWorker {
        id: WorkerId,
        crashed: bool,
    },
    EndLingering,
    Configure(Options, Option<Ask>),
    Decide(ListenerId, u64, Option<WorkerId>),
    /// Closes all sockets and ends the thread.
    Stop,
}

/// The answer to a command; only a request to listen has one that says something.
type Answer = Option<(Bound, Option<OwnedFd>)>;

/// The handle on JavaScript's side. Dropping it ends the thread.
pub struct IoThread {
    commands: mpsc::UnboundedSender<(Command, oneshot::Sender<Answer>)>,
    /// How many commands have been given and not been executed.
    pending: Arc<AtomicUsize>,
}

impl IoThread {
    pub fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (commands, receiver) = mpsc::unbounded_channel();
        let pending = Arc::new(AtomicUsize::new(0));
        let of_thread = Arc::clone(&pending);
        std::thread::Builder::new().name("cluster-io".to_owned()).spawn(move || {
            fd::block_signals_in_this_thread();
            LocalSet::new().block_on(&runtime, serve(receiver, of_thread));
        })?;
        Ok(Self { commands, pending })
    }

    /// `returns` is a duplicate of the socket on which the worker sends something back.
    pub fn add_worker(&self, id: WorkerId, handoff: Handoff, returns: OwnedFd) {
        self.tell(Command::AddWorker(id, handoff, returns));
    }

    /// Closes the listeners that wait for a successor of crashed workers.
    pub fn end_lingering(&self) {
        self.call(Command::EndLingering);
    }

    /// `None` if the worker is leaving and gets no answer.
    #[must_use]
    pub fn listen(
        &self,
        id: WorkerId,
        request: ListenRequest,
        balanced: bool,
    ) -> Option<(Bound, Option<OwnedFd>)> {
        self.call(Command::Listen(id, request, balanced))
    }

    /// Not waited for: nothing can happen meanwhile that it would change, because a connection that is
    /// made afterwards is accepted after it.
    pub fn attach(&self, id: WorkerId, server: ServerId) {
        self.tell(Command::Attach(id, server));
    }

    pub fn close(&self, id: WorkerId, server: ServerId) {
        self.call(Command::Close(id, server));
    }

    pub fn leave(&self, id: WorkerId) {
        self.call(Command::Leave(id));
    }

    pub fn remove_worker(&self, id: WorkerId, crashed: bool) {
        self.call(Command::RemoveWorker { id, crashed });
    }

    pub fn configure(&self, options: Options, ask: Option<Ask>) {
        self.call(Command::Configure(options, ask));
    }

    /// Answers a [`Question`](crate::group::Question).
    pub fn decide(&self, listener: ListenerId, question: u64, worker: Option<WorkerId>) {
        self.tell(Command::Decide(listener, question, worker));
    }

    /// Closes all sockets, and with them removes the files of Unix sockets.
    pub fn stop(&self) {
        self.call(Command::Stop);
    }

    /// Does not wait. What is told and called is done in that order.
    fn tell(&self, command: Command) {
        let (answer, _) = oneshot::channel();
        // Nobody is there to be told any more if the process is ending.
        let _ = self.give(command, answer);
    }

    fn call(&self, command: Command) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.give(command, answer)?;
        answered.blocking_recv().ok().flatten()
    }

    /// `None` if the thread has ended.
    fn give(&self, command: Command, answer: oneshot::Sender<Answer>) -> Option<()> {
        self.pending.fetch_add(1, Ordering::Release);
        self.commands.send((command, answer)).ok()
    }
}

/// What the tasks of the I/O thread share. Never borrowed across an `await`.
struct Shared {
    primary: RefCell<Primary>,
    /// The tasks that accept, by listener.
    accepting: RefCell<HashMap<ListenerId, Accepting>>,
    /// The tasks that read what workers send back.
    returning: RefCell<HashMap<WorkerId, JoinHandle<()>>>,
    /// Something was handed out, so the clock has to run.
    busy: Notify,
    /// A listener may have begun to linger.
    lingering: Notify,
    /// See [`IoThread`].
    pending: Arc<AtomicUsize>,
}

/// The task that accepts from one listener, and how to wake it.
struct Accepting {
    resumed: Rc<Notify>,
    task: JoinHandle<()>,
}

async fn serve(
    mut commands: mpsc::UnboundedReceiver<(Command, oneshot::Sender<Answer>)>,
    pending: Arc<AtomicUsize>,
) {
    let shared = Rc::new(Shared {
        primary: RefCell::default(),
        accepting: RefCell::default(),
        returning: RefCell::default(),
        busy: Notify::new(),
        lingering: Notify::new(),
        pending,
    });
    tokio::task::spawn_local(keep_time(Rc::clone(&shared)));
    tokio::task::spawn_local(end_lingering(Rc::clone(&shared)));
    while let Some((command, answer)) = commands.recv().await {
        let stop = matches!(command, Command::Stop);
        let result = execute(&shared, command);
        shared.pending.fetch_sub(1, Ordering::Relaxed);
        // Whoever hears that a server is closed may bind to its port at once.
        shared.end_closed().await;
        // Nobody waits for it who has only told.
        let _ = answer.send(result);
        if stop {
            return;
        }
    }
}

fn execute(shared: &Rc<Shared>, command: Command) -> Answer {
    let mut primary = shared.primary.borrow_mut();
    match command {
        Command::AddWorker(id, handoff, returns) => {
            let task = tokio::task::spawn_local(take_returns(Rc::clone(shared), id, returns));
            shared.returning.borrow_mut().insert(id, task);
            primary.add_worker(id, handoff);
        }
        Command::Listen(id, request, balanced) => {
            let listened = primary.listen(id, request, balanced)?;
            if let Some((listener_id, socket)) = listened.watch {
                let resumed = Rc::new(Notify::new());
                let task = accept(Rc::clone(shared), listener_id, socket, Rc::clone(&resumed));
                let accepting = Accepting { resumed, task: tokio::task::spawn_local(task) };
                shared.accepting.borrow_mut().insert(listener_id, accepting);
            }
            return Some((listened.answer, listened.shared));
        }
        Command::Attach(id, server) => shared.resume(primary.attach(id, server)),
        Command::Close(id, server) => primary.close(id, server),
        Command::Leave(id) => primary.leave(id),
        Command::RemoveWorker { id, crashed } => {
            if let Some(task) = shared.returning.borrow_mut().remove(&id) {
                task.abort();
            }
            shared.resume(primary.remove_worker(id, crashed));
            shared.lingering.notify_one();
        }
        Command::EndLingering => primary.end_lingering(),
        Command::Configure(options, ask) => primary.configure(options, ask),
        Command::Decide(listener, question, worker) => {
            shared.resume(primary.decide(listener, question, worker));
        }
        Command::Stop => *primary = Primary::default(),
    }
    None
}

impl Shared {
    /// Lets the tasks of these listeners accept (again).
    fn resume(&self, listeners: impl IntoIterator<Item = ListenerId>) {
        let accepting = self.accepting.borrow();
        for task in listeners.into_iter().filter_map(|id| accepting.get(&id)) {
            task.resumed.notify_one();
        }
    }

    /// Ends the tasks of listeners that are closed, and with them the last use of the socket.
    async fn end_closed(&self) {
        let primary = &self.primary;
        let closed = |id: &ListenerId, _: &mut Accepting| !primary.borrow().has_listener(*id);
        let closed: Vec<_> = self.accepting.borrow_mut().extract_if(closed).collect();
        for (_, Accepting { task, .. }) in closed {
            task.abort();
            // Cancelled, or over already: either way it is gone.
            let _ = task.await;
        }
    }
}

/// Accepts from one listener until it is closed.
async fn accept(shared: Rc<Shared>, id: ListenerId, socket: Rc<OwnedFd>, resumed: Rc<Notify>) {
    let mut watched = None;
    loop {
        // The clients may have come because of what JavaScript has just told.
        while shared.pending.load(Ordering::Acquire) > 0 {
            tokio::task::yield_now().await;
        }
        // Nobody listens yet, or nobody can take more: the kernel's backlog keeps the clients.
        let outcome = shared.primary.borrow_mut().accept(id);
        match outcome {
            Accepted::All => {
                shared.busy.notify_one();
                let Some(socket) = watch(&mut watched, &socket) else {
                    tokio::time::sleep(EXHAUSTION_PAUSE).await;
                    continue;
                };
                tokio::select! {
                    ready = socket.wait() => if !ready { return },
                    () = resumed.notified() => {}
                }
            }
            Accepted::Paused => {
                shared.busy.notify_one();
                // Or each client that comes would wake this thread, which can do nothing for it.
                watched = None;
                resumed.notified().await;
            }
            Accepted::Some => {
                shared.busy.notify_one();
                tokio::task::yield_now().await;
            }
            Accepted::Exhausted => {
                shared.busy.notify_one();
                tokio::time::sleep(EXHAUSTION_PAUSE).await;
            }
            Accepted::Gone => return,
        }
    }
}

/// Registers the socket, unless it is. `None` if the system has no memory for that.
fn watch<'a>(watched: &'a mut Option<Readiness>, socket: &Rc<OwnedFd>) -> Option<&'a Readiness> {
    if watched.is_none() {
        *watched = Readiness::new(Rc::clone(socket)).ok();
    }
    watched.as_ref()
}

/// Reads what one worker sends back. Ends by being aborted.
async fn take_returns(shared: Rc<Shared>, id: WorkerId, socket: OwnedFd) {
    let Ok(socket) = Readiness::new(Rc::new(socket)) else {
        return;
    };
    while socket.wait().await {
        let resume = shared.primary.borrow_mut().take_returns(id);
        shared.busy.notify_one();
        shared.resume(resume);
    }
}

/// While connections are under way, looks after each handoff timeout which are overdue.
async fn keep_time(shared: Rc<Shared>) {
    loop {
        shared.busy.notified().await;
        loop {
            let timeout = shared.primary.borrow().options().handoff_timeout;
            let pause = timeout.min(MAX_TICK);
            tokio::time::sleep(pause).await;
            let (resume, again) = shared.primary.borrow_mut().tick(Instant::now());
            shared.resume(resume);
            if !again {
                break;
            }
        }
    }
}

/// Closes listeners that were left behind by crashed workers when their time is over.
async fn end_lingering(shared: Rc<Shared>) {
    loop {
        shared.lingering.notified().await;
        loop {
            let next = shared.primary.borrow_mut().expire(Instant::now());
            shared.end_closed().await;
            match next {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => break,
            }
        }
    }
}
