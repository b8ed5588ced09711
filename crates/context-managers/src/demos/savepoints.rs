//! Orders that are booked as far as the stock allows.

use std::error::Error;
use std::time::Duration;

use rusqlite::{Connection, params};
use tokio::join;
use tokio::time::sleep;

use crate::savepoints::{Database, nested};

type Failure = Box<dyn Error + Send + Sync>;

const DELAY: Duration = Duration::from_millis(100);

const TABLES: &str = "
    CREATE TABLE stock (item TEXT PRIMARY KEY, number CHECK (number >= 0));
    CREATE TABLE booked (customer, item, number);
    INSERT INTO stock VALUES ('cup', 5), ('jam', 3), ('tea', 9);";

/// An order is for one customer, and takes its items from the stock.
type Order = (&'static str, &'static [(&'static str, u32)]);

/// Books an item in two statements. The second one may fail.
fn book(
    db: &Connection,
    customer: &str,
    item: &str,
    number: u32,
) -> rusqlite::Result<()> {
    let row = params![customer, item, number];
    db.execute("INSERT INTO booked VALUES (?1, ?2, ?3)", row)?;
    let row = params![item, number];
    db.execute("UPDATE stock SET number = number - ?2 WHERE item = ?1", row)?;
    Ok(())
}

/// Books the items that are in stock. Without any, the order is refused.
fn book_what_is_there(db: &Connection, (customer, items): Order) -> Result<(), Failure> {
    let mut booked = 0;
    for &(item, number) in items {
        match nested(db, |db| book(db, customer, item, number))? {
            Ok(()) => booked += 1,
            Err(_) => println!("{customer}: not enough {item}"),
        }
    }
    if booked == 0 {
        return Err(format!("{customer}: nothing is there").into());
    }
    Ok(())
}

/// Books all items of an order, or none.
fn book_all(db: &Connection, (customer, items): Order) -> Result<(), Failure> {
    for &(item, number) in items {
        // Within its order, each item is a part as well.
        nested(db, |db| book(db, customer, item, number))?
            .map_err(|_| format!("{customer}: not enough {item}"))?;
    }
    Ok(())
}

async fn print_stock(database: &Database) -> Result<(), Failure> {
    let read = |db: &Connection| {
        let sql = "SELECT item, number FROM stock ORDER BY item";
        let mut statement = db.prepare(sql)?;
        let rows = statement.query_map([], |row| {
            let (item, number): (String, u32) = (row.get(0)?, row.get(1)?);
            Ok(format!("{item} {number}"))
        })?;
        let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        let sql = "SELECT count(*) FROM booked";
        let booked: u32 = db.query_one(sql, [], |row| row.get(0))?;
        Ok::<_, Failure>(format!("Stock: {}; booked: {booked}", rows.join(", ")))
    };
    println!("{}", database.transaction(read).await?);
    Ok(())
}

pub async fn run() -> Result<(), Failure> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("shop.db");
    let open = || {
        let connection = Connection::open(&file)?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        Ok::<_, rusqlite::Error>(connection)
    };
    let connection = open()?;
    connection.execute_batch(TABLES)?;
    let database = Database::new(connection, 10, DELAY)?;

    println!("A part that fails is undone, the others stay:");
    let order: Order = ("ada", &[("tea", 2), ("jam", 8), ("cup", 1)]);
    database
        .transaction(move |db| book_what_is_there(db, order))
        .await?;
    print_stock(&database).await?;

    println!("Parts of a part are undone with it:");
    database
        .transaction(|db| {
            let orders: [Order; 2] =
                [("ben", &[("tea", 1), ("jam", 9)]), ("cleo", &[("jam", 1)])];
            for order in orders {
                match nested(db, |db| book_all(db, order))? {
                    Ok(()) => println!("{}: booked", order.0),
                    Err(error) => println!("{error}"),
                }
            }
            Ok::<_, Failure>(())
        })
        .await?;
    print_stock(&database).await?;

    println!("If the whole fails, all of it is undone:");
    let order: Order = ("dan", &[("jam", 7), ("cup", 6)]);
    let refused = database.transaction(move |db| book_what_is_there(db, order));
    if let Err(error) = refused.await {
        println!("{error}");
    }
    print_stock(&database).await?;

    println!("Another program writes, and commits after 0.6 s:");
    let other = open()?;
    other.execute_batch("BEGIN IMMEDIATE")?;
    let order: Order = ("eve", &[("tea", 1)]);
    let book = move |db: &Connection| book_all(db, order);
    let impatient = Database::new(open()?, 2, DELAY)?;
    if let Err(error) = impatient.transaction(book).await {
        println!("A second attempt after 0.1 s: {error}");
    }
    let patient = Database::new(open()?, 2, 10 * DELAY)?;
    let (booked, committed) = join!(patient.transaction(book), async move {
        sleep(5 * DELAY).await;
        other.execute_batch("COMMIT")
    });
    booked?;
    committed?;
    println!("A second attempt after 1 s: booked");
    print_stock(&database).await
}
