//! Orders, and the bounded queue between requests and the workers that place them.

use std::future::Future;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::json::{self, Object};
use crate::{Error, number};

/// An order as the client sends it.
#[derive(Debug, PartialEq, Eq)]
pub struct Order {
    /// Who orders.
    pub user_id: i64,
    /// What is ordered, 1 to 50 items.
    pub items: Vec<Item>,
}

/// One line of an order.
#[derive(Debug, PartialEq, Eq)]
pub struct Item {
    /// What is ordered.
    pub product_id: i64,
    /// How many of it.
    pub quantity: i32,
}

/// The answer to an order.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Placed {
    /// The order's id.
    pub id: i64,
    /// Who ordered.
    pub user_id: i64,
    /// What it costs.
    pub total_cents: i64,
    /// How many items it has.
    pub items: usize,
}

impl Order {
    /// Reads the document `{"user_id", "items": [{"product_id", "quantity"}, …]}`.
    ///
    /// # Errors
    /// Names the first bad field, whether its type or its value is wrong.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        #[derive(Default, Deserialize)]
        struct Document<'a> {
            #[serde(borrow)]
            user_id: Option<&'a RawValue>,
            #[serde(borrow)]
            items: Option<&'a RawValue>,
        }
        let document: Document = json::document(body)?.unwrap_or_default();
        let refusal = |field| Error::InvalidOrder {
            record: None,
            field,
        };
        let user_id = number::whole(document.user_id, 1..=i64::MAX).ok_or(refusal("user_id"))?;
        let items: Vec<&RawValue> = document
            .items
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
            .filter(|items: &Vec<_>| (1..=50).contains(&items.len()))
            .ok_or(refusal("items"))?;
        let items = items.into_iter().enumerate().map(|(i, raw)| {
            Item::parse(raw).map_err(|field| Error::InvalidOrder {
                record: Some(i),
                field,
            })
        });
        Ok(Self {
            user_id,
            items: items.collect::<Result<_, _>>()?,
        })
    }
}

impl Item {
    /// An item, or the name of its first bad field.
    fn parse(raw: &RawValue) -> Result<Self, &'static str> {
        #[derive(Deserialize)]
        struct Document<'a> {
            #[serde(borrow)]
            product_id: Option<&'a RawValue>,
            #[serde(borrow)]
            quantity: Option<&'a RawValue>,
        }
        let Object(document) =
            serde_json::from_str::<Object<Document>>(raw.get()).map_err(|_| "items.product_id")?;
        Ok(Self {
            product_id: number::whole(document.product_id, 1..=i64::MAX)
                .ok_or("items.product_id")?,
            quantity: number::whole(document.quantity, 1..=1000)
                .and_then(|quantity| quantity.try_into().ok())
                .ok_or("items.quantity")?,
        })
    }
}

/// The queue and its workers.
#[derive(Debug)]
pub struct Orders {
    queue: Mutex<Option<mpsc::Sender<Job>>>, // none once it is closed
    workers: Mutex<JoinSet<()>>,
}

#[derive(Debug)]
struct Job {
    order: Order,
    answer: oneshot::Sender<Result<Placed, Error>>,
}

impl Orders {
    /// Starts so many workers, which place orders each on its own; so many orders may wait for them.
    pub fn start<F, P>(workers: usize, waiting: usize, place: F) -> Self
    where
        F: Fn(Order) -> P + Clone + Send + 'static,
        P: Future<Output = Result<Placed, Error>> + Send + 'static,
    {
        let (queue, jobs) = mpsc::channel(waiting);
        let jobs = Arc::new(tokio::sync::Mutex::new(jobs));
        let mut started = JoinSet::new();
        for _ in 0..workers {
            started.spawn(work(jobs.clone(), place.clone()));
        }
        Self {
            queue: Mutex::new(Some(queue)),
            workers: Mutex::new(started),
        }
    }

    /// Hands an order to the workers and waits for what becomes of it. An order in the queue is placed even when
    /// nobody waits any more.
    ///
    /// # Errors
    /// The queue is full or closed, or the order was not placed.
    pub async fn submit(&self, order: Order) -> Result<Placed, Error> {
        let (answer, answered) = oneshot::channel();
        self.enqueue(Job { order, answer })?;
        // A worker that panicked has no answer.
        answered.await.unwrap_or(Err(Error::Database))
    }

    fn enqueue(&self, job: Job) -> Result<(), Error> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queue.as_ref().ok_or(Error::Busy)?;
        queue.try_send(job).map_err(|_| Error::Busy)
    }

    /// Closes the queue and waits until the orders in it are placed.
    pub async fn finish(&self) {
        drop(
            self.queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let mut workers =
            mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        while workers.join_next().await.is_some() {}
    }
}

/// Places orders until the queue is closed and empty.
async fn work<F, P>(jobs: Arc<tokio::sync::Mutex<mpsc::Receiver<Job>>>, place: F)
where
    F: Fn(Order) -> P,
    P: Future<Output = Result<Placed, Error>>,
{
    loop {
        // In a statement of its own: the lock is held while waiting for a job, not during the job.
        let job = jobs.lock().await.recv().await;
        let Some(Job { order, answer }) = job else {
            return;
        };
        // Whoever asked may be gone.
        let _ = answer.send(place(order).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Semaphore;

    #[test]
    fn an_order() {
        let body =
            br#"{"items":[{"quantity":1000,"product_id":9223372036854775807,"x":[]}],"user_id":7}"#;
        let item = Item {
            product_id: i64::MAX,
            quantity: 1000,
        };
        let order = Order {
            user_id: 7,
            items: vec![item],
        };
        assert_eq!(Order::parse(body), Ok(order));
    }

    #[test]
    fn the_first_bad_field_is_named() {
        let items = |n| vec![r#"{"product_id":1,"quantity":1}"#; n].join(",");
        for (body, record, field) in [
            ("null".into(), None, "user_id"),
            (
                r#"[1,[{"product_id":1,"quantity":1}]]"#.into(),
                None,
                "user_id",
            ),
            (r#"{"items":[]}"#.into(), None, "user_id"),
            (r#"{"user_id":0}"#.into(), None, "user_id"),
            (r#"{"user_id":9223372036854775808}"#.into(), None, "user_id"),
            (r#"{"user_id":1}"#.into(), None, "items"),
            (r#"{"user_id":1,"items":{}}"#.into(), None, "items"),
            (r#"{"user_id":1,"items":[]}"#.into(), None, "items"),
            (
                format!(r#"{{"user_id":1,"items":[{}]}}"#, items(51)),
                None,
                "items",
            ),
            (
                format!(r#"{{"user_id":1,"items":[{},[1,1]]}}"#, items(1)),
                Some(1),
                "items.product_id",
            ),
            (
                r#"{"user_id":1,"items":[null]}"#.into(),
                Some(0),
                "items.product_id",
            ),
            (
                r#"{"user_id":1,"items":[{"quantity":0}]}"#.into(),
                Some(0),
                "items.product_id",
            ),
            (
                r#"{"user_id":1,"items":[{"product_id":1,"quantity":1001}]}"#.into(),
                Some(0),
                "items.quantity",
            ),
            (
                r#"{"user_id":1,"items":[{"product_id":1,"quantity":"1"}]}"#.into(),
                Some(0),
                "items.quantity",
            ),
        ] {
            let refusal = Error::InvalidOrder { record, field };
            assert_eq!(Order::parse(body.as_bytes()), Err(refusal), "{body}");
        }
        assert!(
            Order::parse(format!(r#"{{"user_id":1,"items":[{}]}}"#, items(50)).as_bytes()).is_ok()
        );
        assert_eq!(Order::parse(br#"{"user_id":0,}"#), Err(Error::BadJson));
    }

    fn order() -> Order {
        Order {
            user_id: 1,
            items: Vec::new(),
        }
    }

    /// Workers that place an order for every permit, and count them.
    fn gated(workers: usize, waiting: usize) -> (Arc<Orders>, Arc<Semaphore>, Arc<AtomicUsize>) {
        let gate = Arc::new(Semaphore::new(0));
        let count = Arc::new(AtomicUsize::new(0));
        let (entry, placed) = (gate.clone(), count.clone());
        let orders = Orders::start(workers, waiting, move |order| {
            let (entry, placed) = (entry.clone(), placed.clone());
            async move {
                entry.acquire().await.unwrap().forget();
                placed.fetch_add(1, Ordering::SeqCst);
                Ok(Placed {
                    id: 1,
                    user_id: order.user_id,
                    total_cents: 0,
                    items: order.items.len(),
                })
            }
        });
        (Arc::new(orders), gate, count)
    }

    /// Lets every other task go as far as it can: the tests run on one thread.
    async fn settle() {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_full_queue_refuses() {
        let (orders, gate, _) = gated(2, 3);
        let mut waiting = JoinSet::new();
        for _ in 0..5 {
            let orders = orders.clone();
            waiting.spawn(async move { orders.submit(order()).await });
            settle().await;
        }
        assert_eq!(orders.submit(order()).await, Err(Error::Busy));
        gate.add_permits(1);
        assert!(waiting.join_next().await.unwrap().unwrap().is_ok());
        settle().await;
        let again = tokio::spawn({
            let orders = orders.clone();
            async move { orders.submit(order()).await }
        });
        gate.add_permits(5);
        assert!(again.await.unwrap().is_ok());
        assert!(waiting.join_all().await.iter().all(Result::is_ok));
    }

    #[tokio::test]
    async fn orders_outlive_their_clients_and_the_queue() {
        let (orders, gate, placed) = gated(1, 3);
        let mut clients = JoinSet::new();
        for _ in 0..4 {
            let orders = orders.clone();
            clients.spawn(async move { orders.submit(order()).await });
            settle().await;
        }
        clients.shutdown().await;
        let finished = tokio::spawn({
            let orders = orders.clone();
            async move { orders.finish().await }
        });
        settle().await;
        assert_eq!(orders.submit(order()).await, Err(Error::Busy));
        assert!(!finished.is_finished());
        gate.add_permits(4);
        finished.await.unwrap();
        assert_eq!(placed.load(Ordering::SeqCst), 4);
    }

    #[tokio::test]
    async fn a_panic_is_no_answer() {
        let orders = Orders::start(1, 1, |_| async { panic!("a worker's end") });
        assert_eq!(orders.submit(order()).await, Err(Error::Database));
    }
}
