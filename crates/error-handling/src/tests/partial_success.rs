use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::partial_success::{TooFew, try_each};

type Failure = Box<dyn Error + Send + Sync>;

async fn double(number: u32) -> Result<u32, Failure> {
    if number == 1 {
        return Err("one is not doubled".into());
    }
    Ok(2 * number)
}

#[tokio::test(start_paused = true)]
async fn dropped_it_aborts_the_tasks() {
    let held = Arc::new(());
    let work = |_: u32| {
        let held = Arc::clone(&held);
        async move {
            sleep(Duration::from_secs(60)).await;
            drop(held);
            Ok::<(), Failure>(())
        }
    };
    let limit = Duration::from_secs(1);
    assert!(timeout(limit, try_each([1, 2], work)).await.is_err());
    sleep(limit).await;
    assert_eq!(Arc::strong_count(&held), 1);
}

#[tokio::test]
async fn in_a_task_with_a_closure_that_borrows_and_any_error() {
    async fn twice(numbers: Vec<u32>) -> Result<usize, Failure> {
        let offset = numbers.len() as u32;
        let mut calls = 0;
        let work = |number: &u32| {
            calls += 1;
            double(number + offset)
        };
        let outcomes = try_each(&numbers, work).await;
        assert_eq!(calls, numbers.len());
        Ok(outcomes
            .at_least(1)
            .map_err(|e| e.to_string())?
            .succeeded
            .len())
    }
    let task = tokio::spawn(twice(vec![0, 1, 2]));
    assert_eq!(task.await.expect("it does not panic").ok(), Some(3));
    let task = tokio::spawn(twice(vec![0]));
    let error = task.await.expect("it does not panic").expect_err("one");
    assert_eq!(error.to_string(), "0 succeeded, 1 are needed");
}

#[tokio::test]
async fn too_few_is_an_error_to_pass_on() {
    let none: [u32; 0] = [];
    let outcomes = try_each(none, double).await;
    assert!(outcomes.failed.is_empty());
    let passed_on: Failure = outcomes.at_least(1).expect_err("there are none").into();
    assert!(passed_on.is::<TooFew<u32, u32, Failure>>());
}

#[tokio::test(start_paused = true)]
async fn each_value_and_each_error_has_its_input_in_the_order_of_the_inputs() {
    for number in [0, 1, 31, 129, 1000] {
        // The later ones end first. Of three, one fails and one panics.
        let work = |input: u32| async move {
            sleep(Duration::from_millis((number - input).into())).await;
            match input % 3 {
                0 => Ok(10 * input),
                1 => Err(Failure::from(input.to_string())),
                _ => panic!("a bug"),
            }
        };
        let outcomes = try_each(0..number, work).await;
        let values = (0..number).filter(|input| input % 3 == 0);
        assert!(
            outcomes
                .succeeded
                .into_iter()
                .eq(values.map(|it| (it, 10 * it)))
        );
        let inputs = outcomes.failed.iter().map(|(input, _)| *input);
        assert!(inputs.eq((0..number).filter(|input| input % 3 != 0)));
        for (input, error) in outcomes.failed {
            let (text, panics) = (error.to_string(), input % 3 == 2);
            assert!(text == input.to_string() || panics && text.contains("a bug"));
        }
    }
}
