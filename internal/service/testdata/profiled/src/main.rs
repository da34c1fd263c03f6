//! A small HTTP service with planted costs, for the tests of profilers: it has no dependencies.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

mod work {
    /// Costs that must be found by name.
    pub mod deep {
        #[inline(never)]
        pub fn plain(rounds: u64) -> u64 {
            let mut x = rounds | 1;
            for i in 0..rounds {
                x = x.wrapping_mul(6364136223846793005).wrapping_add(i);
                x ^= x >> 29;
            }
            x
        }

        /// Holds no loop of its own: all of it is `inlined`'s.
        #[inline(never)]
        pub fn caller(rounds: u64) -> u64 {
            inlined(rounds)
        }

        #[inline(always)]
        fn inlined(rounds: u64) -> u64 {
            let mut x = rounds | 1;
            for i in 0..rounds {
                x = x.rotate_left(7).wrapping_mul(0x9e3779b97f4a7c15) ^ i;
            }
            x
        }
    }

    pub struct Store<T> {
        kept: Vec<T>,
    }

    impl<T: From<u8>> Store<T> {
        pub fn new() -> Self {
            Store { kept: Vec::new() }
        }

        #[inline(never)]
        pub fn fill(&mut self, count: u64) {
            for i in 0..count {
                self.kept.push(T::from(i as u8));
                std::hint::black_box(Box::new([i; 12]));
            }
        }
    }
}

fn answer(path: &str) -> u64 {
    match path {
        "/plain" => work::deep::plain(2_000_000),
        "/inlined" => work::deep::caller(2_000_000),
        "/allocate" => {
            let mut store = work::Store::<u64>::new();
            store.fill(1000);
            std::hint::black_box(&store);
            std::mem::forget(std::hint::black_box(Box::new([7u8; 1000])));
            1
        }
        "/crash" => std::process::abort(),
        _ => 0,
    }
}

fn serve(mut stream: TcpStream) {
    let mut text = Vec::new();
    let mut part = [0u8; 4096];
    loop {
        while !text.windows(4).any(|w| w == b"\r\n\r\n") {
            match stream.read(&mut part) {
                Ok(n) if n > 0 => text.extend_from_slice(&part[..n]),
                _ => return,
            }
        }
        let head = String::from_utf8_lossy(&text).into_owned();
        text.clear();
        let path = head.split(' ').nth(1).unwrap_or("/");
        let body = answer(path).to_string();
        let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", body.len(), body);
        if stream.write_all(reply.as_bytes()).is_err() {
            return;
        }
    }
}

extern "C" {
    fn signal(number: i32, handler: usize) -> usize;
}

extern "C" fn ignore(_: i32) {}

fn main() {
    for argument in std::env::args().skip(1) {
        let number = match argument.as_str() {
            "takes-sigprof" => 27,
            "takes-sigusr2" => 12,
            _ => continue,
        };
        unsafe { signal(number, ignore as extern "C" fn(i32) as usize) };
    }
    if std::env::args().any(|a| a == "gives-sigusr2-back") {
        unsafe { signal(12, 0) };
    }
    let listener = TcpListener::bind(std::env::var("ADDR").unwrap()).unwrap();
    let pool: Vec<_> = (0..4)
        .map(|_| {
            let listener = listener.try_clone().unwrap();
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    serve(stream.unwrap());
                }
            })
        })
        .collect();
    for thread in pool {
        thread.join().unwrap();
    }
}
