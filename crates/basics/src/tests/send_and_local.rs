use tokio::task::LocalSet;
use tokio::task::spawn_local;

#[tokio::test]
#[should_panic(expected = "`spawn_local` called from outside of a `task::LocalSet`")]
async fn spawn_local_needs_a_set() {
    spawn_local(async {});
}

#[tokio::test(flavor = "local")]
async fn a_local_runtime_needs_no_set() {
    let names = std::rc::Rc::new(vec!["Ada"]);
    let task = spawn_local(async move { names.len() });
    assert_eq!(task.await.expect("the task does not fail"), 1);
}

#[tokio::test]
#[should_panic(expected = "RefCell already borrowed")]
#[expect(clippy::await_holding_refcell_ref, reason = "this is the mistake")]
async fn a_borrow_across_an_await_meets_another() {
    let names = std::cell::RefCell::new(vec!["Ada"]);
    let first = async {
        let _names = names.borrow_mut();
        tokio::task::yield_now().await;
    };
    tokio::join!(biased; first, async { names.borrow_mut().push("Ben") });
}

#[tokio::test]
async fn a_set_that_nobody_awaits_runs_nothing() {
    let ran = std::rc::Rc::new(std::cell::Cell::new(false));
    let local = LocalSet::new();
    let task = local.spawn_local({
        let ran = std::rc::Rc::clone(&ran);
        async move { ran.set(true) }
    });
    tokio::task::yield_now().await;
    assert!(!ran.get());
    local.run_until(task).await.expect("the task does not fail");
    assert!(ran.get());
}
