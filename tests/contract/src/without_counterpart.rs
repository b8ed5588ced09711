//! What asyncio has, and Tokio has nothing that could be called in its place.
//!
//! Only the twin tries something: that CPython still does it. The row of the clause says
//! what to do without it.
//!
//! asyncio: asyncio.Task.cancelling, asyncio.Task.set_name, asyncio.sleep(result=)
//! differs: there is no counterpart

use crate::support::{millis, try_together};

async fn nothing() -> String {
    "no counterpart".to_owned()
}

#[tokio::main]
async fn main() {
    try_together! { millis(1_000),
        "condition.cancel.message" => nothing(),
        "task.cancel.message" => nothing(),
        "barrier.n_waiting.counts" => nothing(),
        "barrier.state.draining" => nothing(),
        "task_group.create_task.name" => nothing(),
        "create_task.name" => nothing(),
        "task.set_name.changes" => nothing(),
        "task_group.create_task.context" => nothing(),
        "context.shared.changes" => nothing(),
        "task.cancelling.counts" => nothing(),
        "task.cancel.itself-by-current_task" => nothing(),
        "as_completed.items.any-order" => nothing(),
        "sleep.result.returned" => nothing(),
        "task.result.cannot-be-set" => nothing(),
        "iscoroutinefunction.at-run-time" => nothing(),
        "future.isfuture" => nothing(),
        "task.get_coro" => nothing(),
        "task.hooks.register" => nothing(),
        "loop.call_soon.error-logged" => nothing(),
        "future.exception.class" => nothing(),
        "future.remove_done_callback.returns-count" => nothing(),
        "run.debug" => nothing(),
        "loop.task_factory" => nothing(),
        "loop.policy" => nothing(),
        "loop.getnameinfo" => nothing(),
        "stream.at_eof.tells-without-read" => nothing(),
        "stream.exception.can-be-asked" => nothing(),
        "protocol.defaults" => nothing(),
        "transport.info.default" => nothing(),
        "exit_stack.pop_all.hands-out" => nothing(),
        "generator.athrow.may-go-on" => nothing(),
        "generator.error.stop" => nothing(),
        "iterator.aiter" => nothing(),
        "coroutine.internals" => nothing(),
    }
}

//@ clock: real
