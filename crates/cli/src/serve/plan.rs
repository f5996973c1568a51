//! From the words of `serve` to services and their addresses.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use trunkline::Address;

use crate::failure::Failure;
use crate::services::Service;
use crate::suggest;

/// Where the first service listens when no address is given for it; the next such one takes the next port.
const FIRST_PORT: u16 = 10001;

/// One service and where it listens.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) service: Service,
    pub(crate) addresses: Vec<Address>,
}

/// Words alternate: a service, then any number of addresses. Addresses before any service are for `echo`.
pub(crate) fn plan(words: &[String]) -> Result<Vec<Plan>, Failure> {
    let mut plans: Vec<Plan> = Vec::new();
    for word in words {
        if is_address(word) {
            let address = first_address(word)?;
            match plans.last_mut() {
                Some(plan) => plan.addresses.push(address),
                None => plans.push(Plan {
                    service: Service::Echo,
                    addresses: vec![address],
                }),
            }
        } else {
            let service = Service::named(word).ok_or_else(|| unknown(word))?;
            plans.push(Plan {
                service,
                addresses: Vec::new(),
            });
        }
    }
    if plans.is_empty() {
        plans.push(Plan {
            service: Service::Echo,
            addresses: Vec::new(),
        });
    }
    let without = plans.iter_mut().filter(|plan| plan.addresses.is_empty());
    for (plan, port) in without.zip(FIRST_PORT..) {
        plan.addresses
            .push(SocketAddr::from(([127, 0, 0, 1], port)).into());
    }
    match given_twice(&plans) {
        Some(address) => Err(Failure::usage(format!(
            "{address} is given twice: one service listens on it"
        ))
        .with_hint("give each service an address of its own, such as :7000 and :7001")),
        None => Ok(plans),
    }
}

/// Port 0 is a free port each time.
fn given_twice(plans: &[Plan]) -> Option<&Address> {
    let addresses = plans.iter().flat_map(|plan| &plan.addresses);
    let mut seen = BTreeSet::new();
    addresses
        .filter(|address| {
            address
                .socket_addr()
                .is_none_or(|address| address.port() != 0)
        })
        .find(|&address| !seen.insert(address))
}

/// No service has a colon in its name or consists of digits.
fn is_address(word: &str) -> bool {
    word.contains(':') || word.bytes().all(|byte| byte.is_ascii_digit())
}

fn first_address(word: &str) -> Result<Address, Failure> {
    let addresses = Address::resolve(word)?;
    addresses
        .into_iter()
        .next()
        .ok_or_else(|| Failure::failed(format!("cannot resolve {word}: it has no address")))
}

fn unknown(word: &str) -> Failure {
    let names = Service::ALL.map(Service::name);
    let failure = Failure::usage(format!(
        "unknown service {word:?}: there is none of that name"
    ));
    match suggest::nearest(word, names) {
        Some(nearest) => failure.with_hint(format!("did you mean {nearest:?}?")),
        None => failure.with_hint(format!(
            "the services are {}; an address has a port, as in localhost:10001",
            names.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(words: &str) -> Vec<(&'static str, Vec<String>)> {
        let words: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
        let plans = plan(&words).unwrap();
        let text = |plan: &Plan| plan.addresses.iter().map(ToString::to_string).collect();
        plans
            .iter()
            .map(|plan| (plan.service.name(), text(plan)))
            .collect()
    }

    #[test]
    fn an_address_serves_one_service() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(plan(&words("echo :7000 ack :7000")).is_err());
        assert!(plan(&words("echo :0 ack :0")).is_ok());
        assert!(plan(&words("echo :7000 ack [::1]:7000")).is_ok());
        assert!(plan(&words("echo unix:/a ack unix:/a")).is_err());
        assert!(plan(&words("echo unix:/a ack unix:@a")).is_ok());
    }

    #[test]
    fn words_alternate() {
        let local = |port: u16| format!("127.0.0.1:{port}");
        assert_eq!(planned(""), [("echo", vec![local(10001)])]);
        assert_eq!(planned(":7000"), [("echo", vec![local(7000)])]);
        assert_eq!(planned("ack"), [("ack", vec![local(10001)])]);
        assert_eq!(
            planned("echo :7000 rooms 7001 0.0.0.0:7002"),
            [
                ("echo", vec![local(7000)]),
                ("rooms", vec![local(7001), "0.0.0.0:7002".to_owned()])
            ]
        );
        assert_eq!(
            planned("echo rooms :7000 ack echo"),
            [
                ("echo", vec![local(10001)]),
                ("rooms", vec![local(7000)]),
                ("ack", vec![local(10002)]),
                ("echo", vec![local(10003)])
            ]
        );
    }
}
