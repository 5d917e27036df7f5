//! Free ports for programs that cannot be told to choose one themselves and say which.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, bail};

/// Below the range from which Linux takes the ports of outgoing connections, so that none of those takes a port between
/// our look and the program's bind.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// Finds a port of the loopback interface that nothing listens on.
///
/// Consecutive calls give different ports, and different processes start at different places, so that clusters that start
/// at the same time do not meet.
///
/// # Errors
/// When every port is taken.
pub fn free() -> Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(379);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + start.wrapping_add(step) % COUNT)?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between {FIRST} and {}", FIRST + COUNT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_gives_different_ports_that_can_be_bound() {
        let ports = [free().unwrap(), free().unwrap(), free().unwrap()];
        assert!(
            ports[0] != ports[1] && ports[1] != ports[2] && ports[0] != ports[2],
            "{ports:?}"
        );
        for port in ports {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
        }
    }
}
