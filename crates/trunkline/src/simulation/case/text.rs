//! A case as one line of text: `echo seed=7 trigger=edge end=rest short_read=0.4 high=1 peer=quit,bytes:20,cut:2`.
//! What is as in the simplest case is left out.

use std::fmt;
use std::str::FromStr;

use super::{Case, End, Life, Manner, Numbers, Plan, Room, Settings};
use crate::network::Trigger;
use crate::network::simulated::Faults;

const LIVES: [(&str, Life); 4] = [
    ("echo", Life::Echo),
    ("client", Life::Client),
    ("wild", Life::Wild),
    ("several", Life::Several),
];

const MANNERS: [(&str, Manner); 9] = [
    ("close", Manner::Close),
    ("half-close", Manner::HalfClose),
    ("unfinished", Manner::Unfinished),
    ("quit", Manner::Quit),
    ("close-after", Manner::CloseAfter),
    ("reset-after", Manner::ResetAfter),
    ("vanish-after", Manner::VanishAfter),
    ("garbage", Manner::Garbage),
    ("endless", Manner::Endless),
];

fn name<T: PartialEq>(names: &[(&'static str, T)], value: &T) -> &'static str {
    let found = names.iter().find(|(_, named)| named == value);
    found.expect("everything has a name").0
}

fn named<T: Copy>(names: &[(&str, T)], text: &str) -> Result<T, String> {
    let found = names.iter().find(|(name, _)| *name == text);
    found
        .map(|(_, value)| *value)
        .ok_or_else(|| format!("unknown word {text:?}"))
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(name(&MANNERS, &self.manner))?;
        for (name, value, simplest) in self.numbers.clone().numbers() {
            if *value != simplest {
                write!(formatter, ",{name}:{value}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (life, seed) = (name(&LIVES, &self.life), self.seed);
        write!(formatter, "{life} seed={seed}")?;
        if self.trigger == Trigger::Edge {
            formatter.write_str(" trigger=edge")?;
        }
        match self.end {
            End::AtRest => {}
            End::Stop(turns) => write!(formatter, " end=stop:{turns}")?,
            End::Kill(turns) => write!(formatter, " end=kill:{turns}")?,
        }
        for (name, rate) in self.faults.clone().rates() {
            if *rate > 0.0 {
                write!(formatter, " {name}={rate}")?;
            }
        }
        let (mut room, mut settings) = (self.room.clone(), self.settings.clone());
        for (name, value, simplest) in room.numbers().into_iter().chain(settings.numbers()) {
            if *value != simplest {
                write!(formatter, " {name}={value}")?;
            }
        }
        for plan in &self.plans {
            write!(formatter, " peer={plan}")?;
        }
        Ok(())
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split(',');
        let manner = named(&MANNERS, words.next().unwrap_or_default())?;
        let mut numbers = Numbers::default();
        for word in words {
            let (name, value) = word.split_once(':').ok_or("a number has a name")?;
            put(numbers.numbers(), name, value)?;
        }
        Ok(Self { manner, numbers })
    }
}

fn put(numbers: Vec<(&'static str, &mut u64, u64)>, name: &str, value: &str) -> Result<(), String> {
    let found = numbers.into_iter().find(|(named, ..)| *named == name);
    *found.ok_or_else(|| format!("unknown name {name:?}"))?.1 = number(value)?;
    Ok(())
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let life = named(&LIVES, words.next().unwrap_or_default())?;
        let mut case = Case {
            life,
            seed: 0,
            trigger: Trigger::Level,
            end: End::AtRest,
            room: Room::default(),
            faults: Faults::none(),
            settings: Settings::default(),
            plans: Vec::new(),
        };
        for word in words {
            let (name, value) = word
                .split_once('=')
                .ok_or_else(|| format!("{word:?} is not name=value"))?;
            case.set(name, value)?;
        }
        Ok(case)
    }
}

impl Case {
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "seed" => self.seed = number(value)?,
            "trigger" => {
                self.trigger = named(&[("edge", Trigger::Edge), ("level", Trigger::Level)], value)?;
            }
            "end" => {
                self.end = match value.split_once(':') {
                    Some(("stop", turns)) => End::Stop(number(turns)?),
                    Some(("kill", turns)) => End::Kill(number(turns)?),
                    _ => named(&[("rest", End::AtRest)], value)?,
                };
            }
            "peer" => self.plans.push(value.parse()?),
            _ => {
                if let Some((_, rate)) = self.faults.rates().into_iter().find(|(of, _)| *of == name)
                {
                    *rate = number(value)?;
                    return Ok(());
                }
                let mut numbers = self.room.numbers();
                numbers.extend(self.settings.numbers());
                put(numbers, name, value)?;
            }
        }
        Ok(())
    }
}

#[test]
fn a_case_is_read_as_it_was_written() {
    for seed in 0..300 {
        let case = Case::from_seed(seed);
        assert_eq!(case.to_string().parse(), Ok(case));
    }
    for wrong in [
        "",
        "echos",
        "echo seed",
        "echo sed=1",
        "echo peer=close,x:1",
        "echo end=now",
    ] {
        assert!(wrong.parse::<Case>().is_err(), "{wrong}");
    }
}
