//! Addresses of networks that are not the Internet, and redirects that must not be followed.

use std::net::{IpAddr, Ipv4Addr};

use crate::SafeUrl;

/// Whether a redirect leads from HTTPS to where others can read along.
pub fn leads_out_of_tls(from: &SafeUrl, to: &SafeUrl) -> bool {
    from.expose().scheme() == "https" && to.expose().scheme() != "https"
}

/// Whether a redirect leads from one host to another that is an inner address: a server must not be able to have requests sent there.
pub fn leads_inside(from: &SafeUrl, to: &SafeUrl) -> bool {
    let (from, to) = (from.expose().host_str(), to.expose().host_str());
    from != to && is_inner_address(to.unwrap_or_default())
}

/// Whether a host is an address, not a name, of this machine or a network that is not the Internet.
pub fn is_inner_address(host: &str) -> bool {
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => is_inner_v4(address),
        Ok(IpAddr::V6(address)) => match address.to_ipv4_mapped() {
            Some(address) => is_inner_v4(address),
            None => {
                let first = address.segments().first().copied().unwrap_or_default();
                let is_local = first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80;
                address.is_loopback() || address.is_unspecified() || is_local || first & 0xff0f == 0xff02
            }
        },
        Err(_) => false,
    }
}

fn is_inner_v4(address: Ipv4Addr) -> bool {
    let is_link_local_multicast = address.octets().starts_with(&[224, 0, 0]);
    address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_unspecified()
        || is_link_local_multicast
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_told_by_where_they_lead() {
        let lead = |from: &str, to: &str| {
            let (from, to) = (SafeUrl::parse(from).unwrap(), SafeUrl::parse(to).unwrap());
            (leads_out_of_tls(&from, &to), leads_inside(&from, &to))
        };
        assert_eq!(lead("https://a.com/x", "https://b.com/y"), (false, false));
        assert_eq!(lead("http://a.com", "https://a.com"), (false, false));
        assert_eq!(lead("https://a.com", "http://a.com"), (true, false));
        assert_eq!(
            lead("http://a.com", "http://169.254.169.254/latest"),
            (false, true)
        );
        assert_eq!(lead("https://a.com", "http://10.0.0.1"), (true, true));
        // Who is inside already may lead to itself, not to its neighbours.
        assert_eq!(
            lead("http://10.0.0.1:80/x", "http://10.0.0.1:5000/y"),
            (false, false)
        );
        assert_eq!(lead("http://10.0.0.1", "http://10.0.0.2"), (false, true));
    }

    #[test]
    fn is_inner_address_knows_private_networks_and_not_names() {
        for inner in [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.0.1",
            "172.16.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "[::1]",
            "[::]",
            "[fd00::1]",
            "[fe80::1]",
            "[::ffff:10.0.0.1]",
        ] {
            assert!(is_inner_address(inner), "{inner}");
        }
        for outer in ["1.1.1.1", "[2001:db8::1]", "localhost", "example.com", ""] {
            assert!(!is_inner_address(outer), "{outer}");
        }
    }
}
