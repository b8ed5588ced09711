//! What rdkafka delivers again, loses and reorders, beside librdkafka's own mock broker. Prints
//! what it sees. Fails if a statement of docs/chapters/11-beyond-one-machine.md does not hold.
//!
//!     cargo run --manifest-path tests/tried/kafka/Cargo.toml

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{DefaultProducerContext, FutureProducer, FutureRecord};
use rdkafka::types::{
    RDKafkaApiKey::Produce, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
};
use rdkafka::{ClientConfig, Message, Offset};
use tokio::time::{sleep, timeout};

type Result<T> = std::result::Result<T, Box<dyn Error>>;
type Cluster = MockCluster<'static, DefaultProducerContext>;

const LONG: Duration = Duration::from_secs(120);

fn claim(holds: bool, what: &str) -> Result<()> {
    println!("{} {what}", if holds { "yes:" } else { "NO:" });
    holds.then_some(()).ok_or_else(|| what.into())
}

fn config(brokers: &str, more: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    more.iter()
        .for_each(|(key, value)| _ = config.set(*key, *value));
    config
}

/// Starts a consumer of the topic in a group of the same name.
fn consumer(brokers: &str, topic: &str, more: &[(&str, &str)]) -> Result<StreamConsumer> {
    let mut config = config(brokers, more);
    config
        .set("group.id", topic)
        .set("auto.offset.reset", "earliest");
    let consumer: StreamConsumer = config.set("session.timeout.ms", "6000").create()?;
    consumer.subscribe(&[topic])?;
    Ok(consumer)
}

async fn receive(consumer: &StreamConsumer) -> Result<String> {
    let message = timeout(LONG, consumer.recv()).await??;
    Ok(String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned())
}

fn record<'a>(topic: &'a str, text: &'a str) -> FutureRecord<'a, str, str> {
    FutureRecord::to(topic).payload(text).partition(0)
}

/// Makes a topic with the messages 0 to 9 in its only partition.
async fn topic(cluster: &Cluster, brokers: &str, topic: &str) -> Result<()> {
    cluster.create_topic(topic, 1, 1)?;
    let producer: FutureProducer = config(brokers, &[]).create()?;
    for number in 0..10 {
        let text = number.to_string();
        producer
            .send(record(topic, &text), LONG)
            .await
            .map_err(|(error, _)| error)?;
    }
    Ok(())
}

const BY_HAND: [(&str, &str); 2] = [
    ("enable.auto.offset.store", "false"),
    ("auto.commit.interval.ms", "600000"),
];

/// Handles three messages, and is killed in the fourth.
async fn killed(brokers: &str) -> Result<()> {
    let consumer = consumer(brokers, "killed", &BY_HAND)?;
    for _ in 0..3 {
        consumer.store_offset_from_message(&consumer.recv().await?)?;
    }
    consumer.recv().await?;
    std::process::abort()
}

async fn consumers(cluster: &Cluster, brokers: &str) -> Result<()> {
    topic(cluster, brokers, "default").await?;
    drop((
        receive(&consumer(brokers, "default", &[])?).await?,
        "dropped in its handler",
    ));
    let next = receive(&consumer(brokers, "default", &[])?).await?;
    claim(
        next == "1",
        "by default a message counts as done before it is handled",
    )?;

    topic(cluster, brokers, "by hand").await?;
    receive(&consumer(brokers, "by hand", &BY_HAND)?).await?;
    let next = receive(&consumer(brokers, "by hand", &BY_HAND)?).await?;
    claim(
        next == "0",
        "with enable.auto.offset.store=false it comes again",
    )?;

    topic(cluster, brokers, "killed").await?;
    let mut child = tokio::process::Command::new(std::env::current_exe()?);
    claim(
        !child.arg(brokers).status().await?.success(),
        "a consumer is killed in message 3",
    )?;
    let next = receive(&consumer(brokers, "killed", &BY_HAND)?).await?;
    claim(next == "0", "all messages since the last commit come again")?;

    topic(cluster, brokers, "failed").await?;
    let first = consumer(brokers, "failed", &BY_HAND)?;
    for number in 0..3 {
        let message = timeout(LONG, first.recv()).await??;
        if number != 1 {
            first.store_offset_from_message(&message)?;
        }
    }
    first.commit_consumer_state(CommitMode::Sync)?;
    first.seek("failed", 0, Offset::Offset(1), LONG)?;
    let again = [receive(&first).await?, receive(&first).await?];
    claim(
        again == ["1", "2"],
        "seek: a failed message comes again, and all after it",
    )?;
    drop(first);
    let next = receive(&consumer(brokers, "failed", &BY_HAND)?).await?;
    claim(
        next == "3",
        "a later offset completes the failed message before it",
    )?;

    topic(cluster, brokers, "slow").await?;
    let limits = [
        ("max.poll.interval.ms", "6000"),
        ("enable.auto.commit", "false"),
    ];
    let slow = consumer(brokers, "slow", &limits)?;
    let message = timeout(LONG, slow.recv()).await??;
    let other = consumer(brokers, "slow", &limits)?;
    let same = receive(&other).await? == "0";
    claim(
        same,
        "a handler slower than max.poll.interval.ms: another consumer has its message",
    )?;
    let late = slow.commit_message(&message, CommitMode::Sync);
    println!("the late commit: {late:?}");
    claim(late.is_err(), "and the late commit is refused")
}

/// The handler of partition 0 never ends. The messages of partition 1 are handled.
async fn partitions(cluster: &Cluster, brokers: &str) -> Result<()> {
    cluster.create_topic("two", 2, 1)?;
    let producer: FutureProducer = config(brokers, &[]).create()?;
    for partition in [0, 1, 1, 1] {
        let record = record("two", "text").partition(partition);
        producer
            .send(record, LONG)
            .await
            .map_err(|(error, _)| error)?;
    }
    let consumer = Arc::new(consumer(brokers, "two", &BY_HAND)?);
    let queue = |partition| {
        consumer
            .split_partition_queue("two", partition)
            .ok_or("no queue")
    };
    let (stuck, others) = (queue(0)?, queue(1)?);
    let main = consumer.recv().map(|_| "the other queues get all messages");
    let stuck = async {
        (
            stuck.recv().await.map(drop),
            std::future::pending::<()>().await,
        )
    };
    let others = async {
        for _ in 0..3 {
            others.recv().await?;
        }
        Result::Ok(())
    };
    let done = tokio::select! {
        done = timeout(LONG, others) => done?.is_ok(),
        _ = stuck => false,
        _ = main => false,
    };
    claim(
        done,
        "with a queue for each partition, a stuck handler stops its partition only",
    )
}

/// Returns what lies in the topic after a late answer (`late`), or after a refused request.
async fn retried(
    cluster: &Cluster,
    brokers: &str,
    idempotent: &str,
    late: bool,
) -> Result<String> {
    let topic = format!("{idempotent} {late}");
    cluster.create_topic(&topic, 1, 1)?;
    let options = [
        ("enable.idempotence", idempotent),
        ("request.timeout.ms", "500"),
        ("linger.ms", "0"),
    ];
    let options = if late {
        &options[..]
    } else {
        &[options[0], options[2]]
    };
    let producer: FutureProducer = config(brokers, options).create()?;
    let sent = |text| {
        producer
            .send(record(&topic, text), LONG)
            .map(|it| it.map_err(|(it, _)| it))
    };
    sent("w").await?;
    if !late {
        cluster.request_errors(Produce, &[RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS]);
    }
    cluster.broker_round_trip_time(1, Duration::from_secs(if late { 60 } else { 1 }))?;
    let second = async {
        sleep(Duration::from_millis(500)).await;
        sent("b").await
    };
    let calm = async {
        sleep(Duration::from_secs(5)).await;
        cluster.broker_round_trip_time(1, Duration::ZERO)
    };
    let (first, second, calm) = tokio::join!(sent("a"), second, calm);
    (first?, second?, calm?);
    sent("end").await?;
    let consumer = consumer(brokers, &topic, &[])?;
    let mut all = String::new();
    while !all.ends_with("end") {
        all += &receive(&consumer).await?;
    }
    Ok(all)
}

async fn producers(cluster: &Cluster, brokers: &str) -> Result<()> {
    for idempotent in ["false", "true"] {
        for late in [false, true] {
            println!(
                "{idempotent} {late}: {}",
                retried(cluster, brokers, idempotent, late).await?
            );
        }
    }
    cluster.create_topic("dropped", 1, 1)?;
    let options = [("delivery.timeout.ms", "1000")];
    let producer: FutureProducer = config(brokers, &options).create()?;
    let polled = producer
        .send(record("dropped", "sent"), LONG)
        .now_or_never();
    let next = receive(&consumer(brokers, "dropped", &[])?).await?;
    claim(
        polled.is_none() && next == "sent",
        "a dropped send is sent all the same",
    )?;
    cluster.broker_down(-1)?;
    let error = producer
        .send(record("dropped", "lost"), LONG)
        .await
        .map_err(|(error, _)| error);
    println!("without a broker: {error:?}");
    claim(
        error.is_err(),
        "a send ends with an error after delivery.timeout.ms",
    )
}

#[tokio::main]
async fn main() -> Result<()> {
    if let Some(brokers) = std::env::args().nth(1) {
        return killed(&brokers).await;
    }
    let cluster = MockCluster::new(1)?;
    let brokers = cluster.bootstrap_servers();
    consumers(&cluster, &brokers).await?;
    partitions(&cluster, &brokers).await?;
    producers(&cluster, &brokers).await
}
