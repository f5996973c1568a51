//! Everything that was measured, and how it is measured.

use std::time::Instant;

use serde::Serialize;
use trunkline::Mechanism;

use super::plan::{FEW_SOURCES, Plan};
use super::processors::Processors;
use super::progress::Progress;
use super::rounds::{self, Budget, Done};
use super::samples::Samples;
use super::served::{self, Served};
use super::turns::{Pairs, cost};
use crate::failure::Failure;
use crate::machine::Machine;
use crate::quantity::grouped;

/// How much of the time the mechanisms may take, if the models are measured too.
const MECHANISMS_SHARE: f64 = 0.13;

/// From here on the client is said to have been the limit.
const CLIENT_IS_THE_LIMIT_PERCENT: f64 = 95.0;

/// Everything.
#[derive(Debug, Serialize)]
pub(crate) struct Findings {
    pub(crate) machine: Machine,
    pub(crate) processors: String,
    pub(crate) seconds: u64,
    /// What could not be measured, and why; what to bear in mind.
    pub(crate) remarks: Vec<String>,
    pub(crate) mechanisms: Option<Mechanisms>,
    pub(crate) models: Option<Models>,
}

/// What it costs to learn who is ready, in nanoseconds of processor time per event.
#[derive(Debug, Serialize)]
pub(crate) struct Mechanisms {
    pub(crate) rounds: usize,
    /// n sources, one of them active.
    pub(crate) one_active: Curves,
    /// n sources, all of them active.
    pub(crate) all_active: Curves,
    /// As many sources as in the largest of the others, a of them active.
    pub(crate) some_active: Curves,
    /// Ten sources, one of them active, the highest descriptor being d.
    pub(crate) high_descriptors: Curves,
}

/// Costs by mechanism, over something that grows.
#[derive(Debug, Serialize)]
pub(crate) struct Curves {
    /// What grows: `n`, `a` or `d`.
    pub(crate) over: Vec<usize>,
    pub(crate) curves: Vec<Curve>,
}

/// The costs of one mechanism.
#[derive(Debug, Serialize)]
pub(crate) struct Curve {
    pub(crate) mechanism: String,
    pub(crate) nanoseconds_per_event: Vec<Samples>,
}

/// What servers cost.
#[derive(Debug, Serialize)]
pub(crate) struct Models {
    pub(crate) rounds: usize,
    pub(crate) connections: Vec<usize>,
    pub(crate) servers: Vec<Model>,
}

/// What servers of one model cost.
#[derive(Debug, Serialize)]
pub(crate) struct Model {
    pub(crate) name: String,
    /// For each number of connections.
    pub(crate) at: Vec<Point>,
}

/// What was measured of one model with one number of connections.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Point {
    /// In each round; `null` where it failed.
    pub(crate) rounds: Vec<Option<Served>>,
    /// Why there is nothing, or less than there might be.
    pub(crate) reason: Option<String>,
}

impl Findings {
    /// Measures everything that is planned.
    pub(crate) fn measure(plan: &Plan) -> Result<Self, Failure> {
        // Before anything of ours runs.
        let machine = Machine::here();
        let processors = Processors::choose();
        let start = Instant::now();
        let mut progress = Progress::new();
        let mut remarks = plan.left_out.clone();
        let budget = |share: f64| match plan.rounds {
            Some(rounds) => Budget::Rounds(rounds),
            None => Budget::Until(start + plan.time.mul_f64(share)),
        };
        let share = if plan.served { MECHANISMS_SHARE } else { 1.0 };
        let mut skipped = 0;
        let mechanisms = if plan.dispatch {
            processors.for_client();
            progress.begin_part("mechanisms");
            let (mechanisms, done) =
                Mechanisms::measure(plan, budget(share), &mut progress, &mut remarks)?;
            skipped += done.skipped;
            Some(mechanisms)
        } else {
            None
        };
        let models = plan.served.then(|| {
            processors.for_client();
            progress.begin_part("models");
            let (models, done) = Models::measure(plan, budget(1.0), &mut progress, &processors);
            skipped += done.skipped;
            remarks.extend(models.remarks());
            models
        });
        processors.anywhere();
        if skipped > 0 {
            remarks.push(format!(
                "there was no time for {skipped} of the measurements (--time gives more)"
            ));
        }
        Ok(Self {
            machine,
            processors: processors.describe(),
            seconds: start.elapsed().as_secs(),
            remarks,
            mechanisms,
            models,
        })
    }

    /// Whether anything was measured at all.
    pub(crate) fn is_empty(&self) -> bool {
        let mechanisms = self.mechanisms.as_ref();
        let no_mechanism = mechanisms.is_none_or(|mechanisms| {
            let curves = mechanisms.one_active.curves.iter();
            curves
                .flat_map(|curve| &curve.nanoseconds_per_event)
                .all(|samples| samples.spread().is_none())
        });
        let no_model = self.models.as_ref().is_none_or(|models| {
            let points = models.servers.iter().flat_map(|model| &model.at);
            points
                .into_iter()
                .all(|point| point.measured().next().is_none())
        });
        no_mechanism && no_model
    }
}

/// One of the four sets of curves.
#[derive(Debug, Clone, Copy)]
enum Question {
    One,
    All,
    Some,
    High,
}

impl Mechanisms {
    fn measure(
        plan: &Plan,
        budget: Budget,
        progress: &mut Progress,
        remarks: &mut Vec<String>,
    ) -> Result<(Self, Done), Failure> {
        let pairs = Pairs::open(plan.sources_max())
            .map_err(|error| Failure::failed(format!("cannot open socket pairs: {error}")))?;
        let mut found = Self {
            rounds: 0,
            one_active: Curves::new(plan, &plan.sources),
            all_active: Curves::new(plan, &plan.sources),
            some_active: Curves::new(plan, &plan.active),
            high_descriptors: Curves::new(plan, &plan.descriptors),
        };
        let mut groups = Vec::new();
        // The quick ones first: when time is short, they are all there.
        for question in [Question::High, Question::One, Question::Some, Question::All] {
            for place in 0..found.curves(question).over.len() {
                let step = |which| (question, place, which);
                groups.push((0..plan.mechanisms.len()).map(step).collect());
            }
        }
        let describe =
            |&(_, _, which): &(Question, usize, usize)| plan.mechanisms[which].to_string();
        let done = rounds::run(
            &groups,
            budget,
            progress,
            describe,
            |&(question, place, which)| {
                let mechanism = plan.mechanisms[which];
                let size = found.curves(question).over[place];
                let cost = question.cost(mechanism, &pairs, plan.sources_max(), size);
                if let Err(error) = &cost {
                    let remark = format!("{mechanism} could not be measured: {error}");
                    if !remarks.contains(&remark) {
                        remarks.push(remark);
                    }
                }
                let curve = &mut found.curves(question).curves[which];
                curve.nanoseconds_per_event[place].push(cost.ok());
            },
        );
        found.rounds = done.rounds;
        Ok((found, done))
    }

    fn curves(&mut self, question: Question) -> &mut Curves {
        match question {
            Question::One => &mut self.one_active,
            Question::All => &mut self.all_active,
            Question::Some => &mut self.some_active,
            Question::High => &mut self.high_descriptors,
        }
    }
}

impl Question {
    fn cost(
        self,
        mechanism: Mechanism,
        pairs: &Pairs,
        all: usize,
        size: usize,
    ) -> std::io::Result<f64> {
        match self {
            Question::One => cost(mechanism, pairs.first(size), 1),
            Question::All => cost(mechanism, pairs.first(size), size),
            Question::Some => cost(mechanism, pairs.first(all), size),
            Question::High => cost(mechanism, pairs.up_to(size, FEW_SOURCES.min(all)), 1),
        }
    }
}

impl Curves {
    fn new(plan: &Plan, over: &[usize]) -> Self {
        let curve = |mechanism: &Mechanism| Curve {
            mechanism: mechanism.to_string(),
            nanoseconds_per_event: vec![Samples::default(); over.len()],
        };
        Self {
            over: over.to_vec(),
            curves: plan.mechanisms.iter().map(curve).collect(),
        }
    }

    /// What this mechanism cost at this place.
    pub(crate) fn samples(&self, mechanism: &str, place: usize) -> Option<&Samples> {
        let curve = self
            .curves
            .iter()
            .find(|curve| curve.mechanism == mechanism)?;
        curve.nanoseconds_per_event.get(place)
    }

    /// The place of the largest.
    pub(crate) fn last(&self) -> usize {
        self.over.len().saturating_sub(1)
    }
}

impl Models {
    fn measure(
        plan: &Plan,
        budget: Budget,
        progress: &mut Progress,
        processors: &Processors,
    ) -> (Self, Done) {
        let model = |name: &String| Model {
            name: name.clone(),
            at: plan.connections.iter().map(|_| Point::default()).collect(),
        };
        let mut found = Self {
            rounds: 0,
            connections: plan.connections.clone(),
            servers: plan.models.iter().map(model).collect(),
        };
        let mut groups = Vec::new();
        for (place, &connections) in plan.connections.iter().enumerate() {
            let mut group = Vec::new();
            for (which, name) in plan.models.iter().enumerate() {
                match Plan::too_many(name, connections) {
                    Some(reason) => {
                        found.servers[which].at[place].reason = Some(reason.to_owned());
                    }
                    None => group.push((which, place)),
                }
            }
            groups.push(group);
        }
        let describe = |&(which, place): &(usize, usize)| {
            let connections = grouped(plan.connections[place] as u64);
            format!("{}, {connections} connections", plan.models[which])
        };
        let done = rounds::run(&groups, budget, progress, describe, |&(which, place)| {
            let point = &mut found.servers[which].at[place];
            let (model, connections) = (&plan.models[which], plan.connections[place]);
            match served::measure(model, connections, processors, budget.give_up()) {
                Ok(served) => point.rounds.push(Some(served)),
                Err(reason) => {
                    point.rounds.push(None);
                    point.reason = Some(reason);
                }
            }
        });
        found.rounds = done.rounds;
        (found, done)
    }

    /// What could not be measured, and why.
    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        for model in &self.servers {
            for (point, &connections) in model.at.iter().zip(&self.connections) {
                if let Some(reason) = &point.reason {
                    let connections = grouped(connections as u64);
                    remarks.push(format!(
                        "{} with {connections} connections: {reason}",
                        model.name
                    ));
                }
            }
        }
        remarks.extend(self.limited_by_the_client());
        remarks
    }

    /// Where it was not the server that could do no more.
    fn limited_by_the_client(&self) -> Option<String> {
        let mut limited = Vec::new();
        for model in &self.servers {
            let points = model.at.iter().zip(&self.connections);
            let counts: Vec<_> = points
                .filter(|(point, _)| {
                    let used = point.samples(|served| served.all_active.client_cpu_percent);
                    let used = used.spread().map(|spread| spread.median);
                    used.is_some_and(|used| used >= CLIENT_IS_THE_LIMIT_PERCENT)
                })
                .map(|(_, &connections)| grouped(connections as u64))
                .collect();
            if !counts.is_empty() {
                limited.push(format!("{} with {}", model.name, counts.join(", ")));
            }
        }
        (!limited.is_empty()).then(|| {
            format!(
                "the client used all of its processor, so the server might answer more messages per second than are shown: \
                 {} connections",
                limited.join("; ")
            )
        })
    }

    /// This model with this number of connections.
    pub(crate) fn point(&self, name: &str, connections: usize) -> Option<&Point> {
        let place = self.connections.iter().position(|&at| at == connections)?;
        let model = self.servers.iter().find(|model| model.name == name)?;
        Some(&model.at[place])
    }
}

impl Point {
    pub(crate) fn measured(&self) -> impl Iterator<Item = &Served> {
        self.rounds.iter().flatten()
    }

    /// One quantity of it, round by round.
    pub(crate) fn samples(&self, quantity: impl Fn(&Served) -> f64) -> Samples {
        let rounds = self.rounds.iter();
        rounds
            .map(|served| served.as_ref().map(&quantity))
            .collect()
    }
}
