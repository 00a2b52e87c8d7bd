//! The search: request by request, device by device, back where it does not go on. The first full solution counts.
//! Leaves out how a solution is written down (`result`).

use super::constraints::Followed;
use super::pools::{Pool, State, reaches};
use super::{Failure, MOST_DEVICES, capacity};
use aisched_model::Str;
use aisched_model::devices::{
    Amount, Ask, Counters, Device, DeviceClaim, DeviceClass, Inventory, Mode, Reach, RequestKind, Scope, Selector, Slice, TaintRule, Use,
};
use aisched_model::node::Node;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

/// A device that may be taken.
pub(super) struct Candidate<'a> {
    pub(super) pool: usize,
    pub(super) slice: &'a Slice,
    pub(super) device: &'a Device,
    used: Option<&'a Use>,
    /// Claims that it is being taken for.
    taken_for: Vec<usize>,
    /// Shares of it that are being taken, and what they take together.
    shares: usize,
    taking: Counters,
}

/// A request, or one alternative of it.
pub(super) struct Wanted<'a> {
    /// Name of the request, and of the alternative.
    pub(super) name: &'a Str,
    pub(super) sub: Option<&'a Str>,
    pub(super) ask: &'a Ask,
    pub(super) class: &'a DeviceClass,
    n_devices: usize,
    /// The devices, where all are wanted.
    all: Vec<usize>,
    /// What selectors were found to say of each candidate.
    selected: Vec<Option<bool>>,
}

/// A device that has been taken.
pub(super) struct Picked {
    pub(super) candidate: usize,
    pub(super) request: usize,
    pub(super) sub: usize,
    pub(super) consumed: BTreeMap<Str, Amount>,
}

/// The state of a search.
pub(super) struct Search<'a> {
    inventory: &'a Inventory,
    node: &'a Node,
    pub(super) claims: &'a [&'a DeviceClaim],
    pools: &'a [Pool<'a>],
    rules: Vec<&'a TaintRule>,
    pub(super) candidates: Vec<Candidate<'a>>,
    /// By claim, request, alternative.
    pub(super) wanted: Vec<Vec<Vec<Wanted<'a>>>>,
    /// The alternative chosen, by claim and request.
    pub(super) chosen: Vec<Vec<usize>>,
    constraints: Vec<Vec<Followed<'a>>>,
    pub(super) picked: Vec<Vec<Picked>>,
    /// What is left of counters, by pool, and what is being taken of them.
    available: Vec<Option<Tally<'a>>>,
    taking: Vec<Tally<'a>>,
    steps: Option<u64>,
}

/// Amounts by counter set and counter.
type Tally<'a> = BTreeMap<(&'a str, &'a str), Amount>;

/// Where the search is.
#[derive(Clone, Copy, Default)]
struct At {
    claim: usize,
    request: usize,
    sub: usize,
    device: usize,
}

/// Why a branch of the search ends.
enum End {
    /// The claim would have more devices than it can: fewer may do.
    TooMany,
    Failed(Failure),
}

impl From<String> for End {
    fn from(why: String) -> Self {
        Self::Failed(Failure::Broken(why))
    }
}

type Found = Result<bool, End>;

impl<'a> Search<'a> {
    pub(super) fn new(
        inventory: &'a Inventory,
        node: &'a Node,
        claims: &'a [&'a DeviceClaim],
        pools: &'a [Pool<'a>],
        steps: Option<u64>,
    ) -> Result<Self, Failure> {
        let mut search = Self {
            inventory,
            node,
            claims,
            pools,
            rules: inventory.rules.values().map(|rule| &**rule).collect(),
            candidates: candidates(inventory, pools),
            wanted: Vec::new(),
            chosen: claims.iter().map(|claim| vec![0; claim.requests.len()]).collect(),
            constraints: Vec::new(),
            picked: claims.iter().map(|_| Vec::new()).collect(),
            available: pools.iter().map(|_| None).collect(),
            taking: pools.iter().map(|_| Tally::new()).collect(),
            steps,
        };
        for claim in claims {
            search.look_at(inventory, claim).map_err(Failure::Broken)?;
        }
        Ok(search)
    }

    /// Finds devices for all claims, or says why there are none.
    pub(super) fn run(&mut self) -> Result<(), Failure> {
        match self.allocate(At::default(), false, 0) {
            Ok(true) => Ok(()),
            Ok(false) if self.pools.iter().any(|pool| pool.state == State::Invalid) => Err(Failure::InvalidPools),
            Ok(false) | Err(End::TooMany) => Err(Failure::NoDevices),
            Err(End::Failed(failure)) => Err(failure),
        }
    }

    /// What a claim wants, and whether it can be had at all.
    fn look_at(&mut self, inventory: &'a Inventory, claim: &'a DeviceClaim) -> Result<(), String> {
        let (mut requests, mut least_of_claim) = (Vec::new(), 0);
        for request in &claim.requests {
            let asks: Vec<(Option<&Str>, &Ask)> = match &request.kind {
                RequestKind::Exactly(ask) => vec![(None, ask)],
                RequestKind::FirstAvailable(asks) => asks.iter().map(|(name, ask)| (Some(name), ask)).collect(),
                RequestKind::Unknown => return Err(format!("claim {}, request {}: unknown request type", claim.full_name(), request.name)),
            };
            let mut wanted = Vec::new();
            for (sub, ask) in asks {
                wanted.push(self.want(inventory, claim, (&request.name, sub), ask)?);
            }
            let least = wanted.iter().map(|w| w.n_devices).min().unwrap_or(0);
            if least > MOST_DEVICES - least_of_claim {
                return Err(format!(
                    "claim {}, request {}: adding {least} devices exceeds the claim limit of {MOST_DEVICES}, with {least_of_claim} already accounted for",
                    claim.full_name(),
                    request.name
                ));
            }
            least_of_claim += least;
            requests.push(wanted);
        }
        self.wanted.push(requests);
        if let Some(i) = claim.constraints.iter().position(|constraint| constraint.scope == Scope::Unknown) {
            return Err(format!("claim {}, constraint #{i}: empty constraint (unsupported constraint type?)", claim.full_name()));
        }
        self.constraints.push(claim.constraints.iter().map(Followed::new).collect());
        Ok(())
    }

    fn want(
        &self,
        inventory: &'a Inventory,
        claim: &'a DeviceClaim,
        (name, sub): (&'a Str, Option<&'a Str>),
        ask: &'a Ask,
    ) -> Result<Wanted<'a>, String> {
        let own = sub.unwrap_or(name);
        let wrong = |what: String| format!("claim {}, request {own}{what}", claim.full_name());
        if let Some(i) = ask.selectors.iter().position(|selector| selector.text.is_none()) {
            return Err(wrong(format!(", selector #{i}: CEL expression empty (unsupported selector type?)")));
        }
        if ask.class.is_empty() {
            return Err(wrong(": missing device class name (unsupported request type?)".into()));
        }
        let class = inventory.classes.get(&ask.class).ok_or_else(|| {
            let class = &ask.class;
            wrong(format!(": could not retrieve device class {class}: deviceclass.resource.k8s.io {class:?} not found"))
        })?;
        let mut wanted = Wanted { name, sub, ask, class, n_devices: 0, all: Vec::new(), selected: vec![None; self.candidates.len()] };
        match &ask.mode {
            Mode::Exact(n) => wanted.n_devices = usize::try_from(*n).unwrap_or(usize::MAX),
            Mode::All => {
                for pool in self.pools {
                    let state = match pool.state {
                        State::Usable => continue,
                        State::Incomplete => "being updated",
                        State::Invalid => "invalid",
                    };
                    let (driver, pool) = pool.id;
                    return Err(wrong(format!(": asks for all devices, but resource pool {driver}/{pool} is currently {state}")));
                }
                for (i, candidate) in self.candidates.iter().enumerate() {
                    let selected = is_selected(claim, &wanted, candidate, self.node)?;
                    wanted.selected[i] = Some(selected);
                    let fits = selected
                        && capacity::fits(candidate.device, &ask.capacity, None, None)
                            .map_err(|why| wrong(format!(": checking capacity for device {}: {why}", candidate.device.name)))?;
                    if fits {
                        wanted.all.push(i);
                    }
                }
                wanted.n_devices = wanted.all.len();
            }
            Mode::Unknown(mode) => return Err(wrong(format!(": unsupported count mode {mode}"))),
        }
        Ok(wanted)
    }

    /// Takes devices from `at` on; within a request from candidate `start` on, since the order of devices in it does not matter.
    fn allocate(&mut self, at: At, of_alternative: bool, start: usize) -> Found {
        self.step()?;
        let Some(requests) = self.wanted.get(at.claim) else { return Ok(true) };
        let Some(alternatives) = requests.get(at.request) else {
            return match self.allocate(At { claim: at.claim + 1, ..At::default() }, false, 0) {
                Err(End::TooMany) => Ok(false),
                found => found,
            };
        };
        if !of_alternative && alternatives.first().is_none_or(|wanted| wanted.sub.is_some()) {
            return self.first_available(at, alternatives.len());
        }
        let wanted = &alternatives[at.sub];
        let all = matches!(wanted.ask.mode, Mode::All);
        if all && wanted.all.is_empty() {
            return Ok(false);
        }
        if at.device >= wanted.n_devices {
            return self.allocate(At { claim: at.claim, request: at.request + 1, ..At::default() }, false, 0);
        }
        if wanted.n_devices - at.device > MOST_DEVICES.saturating_sub(self.picked[at.claim].len()) {
            return Err(End::TooMany);
        }
        if all {
            let candidate = wanted.all[at.device];
            return self.try_one(at, of_alternative, candidate, true);
        }
        for candidate in start..self.candidates.len() {
            if self.try_one(at, of_alternative, candidate, false)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn first_available(&mut self, at: At, n_alternatives: usize) -> Found {
        let mut too_many = true;
        for sub in 0..n_alternatives {
            match self.allocate(At { sub, ..at }, true, 0) {
                Err(End::TooMany) => {}
                Err(failed) => return Err(failed),
                Ok(true) => {
                    self.chosen[at.claim][at.request] = sub;
                    return Ok(true);
                }
                Ok(false) => too_many = false,
            }
        }
        if too_many { Err(End::TooMany) } else { Ok(false) }
    }

    /// Takes this device and goes on; gives it back when that leads nowhere. `must`: no other device would do.
    fn try_one(&mut self, at: At, of_alternative: bool, candidate: usize, must: bool) -> Found {
        let Some(taken) = self.take(at, candidate, must)? else { return Ok(false) };
        let next = if must { 0 } else { candidate + 1 };
        let found = self.allocate(At { device: at.device + 1, ..at }, of_alternative, next);
        if !matches!(found, Ok(true)) {
            self.give_back(at, candidate, &taken);
        }
        found
    }

    /// Takes a device if it is free, matches and agrees with the others.
    fn take(&mut self, at: At, candidate: usize, must: bool) -> Result<Option<Taken>, End> {
        self.step()?;
        let one = &self.candidates[candidate];
        let wanted = &self.wanted[at.claim][at.request][at.sub];
        let admin = wanted.ask.admin == Some(true);
        let in_use = if admin { one.taken_for.contains(&at.claim) } else { one.is_in_use() };
        if in_use {
            return Ok(None);
        }
        let fits = must || (self.is_selectable(at, candidate)? && self.has_capacity(at, candidate)?);
        if !fits {
            return Ok(None);
        }
        let mut taken = Taken::default();
        if !(self.candidates[candidate].device.shared && self.candidates[candidate].is_shared_already()) {
            if !self.take_counters(candidate) {
                return Ok(None);
            }
            taken.counters = true;
        }
        if self.is_tainted(at, candidate) || !self.agrees(at, candidate, &mut taken) {
            let constrained = taken.disagrees;
            self.give_back(at, candidate, &taken);
            if must && constrained {
                return Err(self.cannot_add(at, candidate).into());
            }
            return Ok(None);
        }
        if must && !self.has_capacity(at, candidate)? {
            self.give_back(at, candidate, &taken);
            return Ok(None);
        }
        let one = &mut self.candidates[candidate];
        let wanted = &self.wanted[at.claim][at.request][at.sub];
        let mut consumed = BTreeMap::new();
        if one.device.shared {
            consumed = capacity::consumed(one.device, &wanted.ask.capacity)?;
            one.shares += 1;
            for (name, amount) in &consumed {
                let sum = one.taking.entry(name.clone()).or_default();
                *sum = sum.plus(*amount);
            }
        } else {
            one.taken_for.push(at.claim);
        }
        taken.consumed.clone_from(&consumed);
        taken.whole = true;
        self.picked[at.claim].push(Picked { candidate, request: at.request, sub: at.sub, consumed });
        Ok(Some(taken))
    }

    /// Undoes what was done of taking a device.
    fn give_back(&mut self, at: At, candidate: usize, taken: &Taken) {
        let one = &mut self.candidates[candidate];
        if taken.whole {
            self.picked[at.claim].pop();
            if one.device.shared {
                one.shares -= 1;
                for (name, amount) in &taken.consumed {
                    let sum = one.taking.entry(name.clone()).or_default();
                    *sum = sum.minus(*amount);
                }
            } else {
                one.taken_for.pop();
            }
        }
        let wanted = &self.wanted[at.claim][at.request][at.sub];
        for constraint in &mut self.constraints[at.claim][..taken.constraints] {
            constraint.remove(wanted.name, wanted.sub.map(|sub| &**sub));
        }
        if taken.counters {
            self.count(candidate, false);
        }
    }

    fn step(&mut self) -> Result<(), End> {
        match &mut self.steps {
            Some(0) => Err(End::Failed(Failure::TimedOut)),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn is_selectable(&mut self, at: At, candidate: usize) -> Result<bool, End> {
        let wanted = &mut self.wanted[at.claim][at.request][at.sub];
        if let Some(known) = wanted.selected[candidate] {
            return Ok(known);
        }
        let selected = is_selected(self.claims[at.claim], wanted, &self.candidates[candidate], self.node)?;
        wanted.selected[candidate] = Some(selected);
        Ok(selected)
    }

    fn has_capacity(&self, at: At, candidate: usize) -> Result<bool, End> {
        let (one, wanted) = (&self.candidates[candidate], &self.wanted[at.claim][at.request][at.sub]);
        let taken = one.used.map(|used| &used.consumed);
        capacity::fits(one.device, &wanted.ask.capacity, taken, Some(&one.taking)).map_err(|why| {
            let claim = self.claims[at.claim].full_name();
            let request = wanted.sub.unwrap_or(wanted.name);
            format!("claim {claim}, request {request}: checking capacity for device {}: {why}", one.id()).into()
        })
    }

    fn is_tainted(&self, at: At, candidate: usize) -> bool {
        let (one, wanted) = (&self.candidates[candidate], &self.wanted[at.claim][at.request][at.sub]);
        let by_rule = self.rules.iter().filter(|rule| rule.is_about(&one.slice.pool, &one.device.name)).map(|rule| &rule.taint);
        let mut taints = one.device.taints.iter().chain(by_rule).filter(|taint| taint.keeps_away());
        taints.any(|taint| !wanted.ask.tolerations.iter().any(|toleration| toleration.tolerates(taint)))
    }

    /// Whether no constraint of the claim is against it.
    fn agrees(&mut self, at: At, candidate: usize, taken: &mut Taken) -> bool {
        let (one, wanted) = (&self.candidates[candidate], &self.wanted[at.claim][at.request][at.sub]);
        for constraint in &mut self.constraints[at.claim] {
            if !constraint.add(wanted.name, wanted.sub.map(|sub| &**sub), &one.slice.pool.0, one.device) {
                taken.disagrees = true;
                return false;
            }
            taken.constraints += 1;
        }
        true
    }

    fn cannot_add(&self, at: At, candidate: usize) -> String {
        let wanted = &self.wanted[at.claim][at.request][at.sub];
        let (claim, request) = (self.claims[at.claim].full_name(), wanted.sub.unwrap_or(wanted.name));
        let id = self.candidates[candidate].id();
        format!("claim {claim}, request {request}: cannot add device {id} because a claim constraint would not be satisfied")
    }

    /// Takes what the device uses up of its pool's counters, if there is as much.
    fn take_counters(&mut self, candidate: usize) -> bool {
        let one = &self.candidates[candidate];
        if one.device.consumes.is_empty() {
            return true;
        }
        let pool = one.pool;
        if self.available[pool].is_none() {
            self.available[pool] = Some(self.left_of_counters(pool));
        }
        self.count(candidate, true);
        let taking = &self.taking[pool];
        let enough = self.available[pool].iter().flatten().all(|(counter, left)| *left >= taking.get(counter).copied().unwrap_or_default());
        if !enough {
            self.count(candidate, false);
        }
        enough
    }

    fn count(&mut self, candidate: usize, there: bool) {
        let one = &self.candidates[candidate];
        for (set, counters) in &one.device.consumes {
            for (name, amount) in counters {
                let sum = self.taking[one.pool].entry((set, name)).or_default();
                *sum = if there { sum.plus(*amount) } else { sum.minus(*amount) };
            }
        }
    }

    /// What devices in use, on this node and others, leave of a pool's counters.
    fn left_of_counters(&self, pool: usize) -> Tally<'a> {
        let pool = &self.pools[pool];
        let all =
            pool.counter_sets.iter().flat_map(|(set, counters)| counters.iter().map(move |(name, amount)| ((*set, &**name), *amount)));
        let mut left: Tally<'a> = all.collect();
        let used = self.inventory.used.get(pool.id);
        for device in pool.slices.iter().chain(&pool.others).flat_map(|slice| &slice.devices) {
            if used.is_none_or(|used| !used.contains_key(&device.name)) {
                continue;
            }
            for (set, counters) in &device.consumes {
                for (name, amount) in counters {
                    if let Some(left) = left.get_mut(&(&**set, &**name)) {
                        *left = left.minus(*amount);
                    }
                }
            }
        }
        left
    }
}

/// What was done of taking a device.
#[derive(Default)]
struct Taken {
    counters: bool,
    constraints: usize,
    disagrees: bool,
    whole: bool,
    consumed: BTreeMap<Str, Amount>,
}

impl Candidate<'_> {
    /// `driver/pool/device`.
    fn id(&self) -> String {
        format!("{}/{}/{}", self.slice.pool.0, self.slice.pool.1, self.device.name)
    }

    /// Whether somebody has it for themselves.
    fn is_in_use(&self) -> bool {
        self.used.is_some_and(|used| used.whole > 0) || !self.taken_for.is_empty()
    }

    /// Whether somebody has a share of it already.
    fn is_shared_already(&self) -> bool {
        self.shares > 0 || self.used.is_some_and(|used| used.shares > 0)
    }
}

fn candidates<'a>(inventory: &'a Inventory, pools: &[Pool<'a>]) -> Vec<Candidate<'a>> {
    let mut all = Vec::new();
    for (i, pool) in pools.iter().enumerate() {
        let pool_use = inventory.used.get(pool.id);
        for slice in &pool.slices {
            all.extend(slice.devices.iter().map(|device| Candidate {
                pool: i,
                slice,
                device,
                used: pool_use.and_then(|used| used.get(&device.name)),
                taken_for: Vec::new(),
                shares: 0,
                taking: Counters::new(),
            }));
        }
    }
    all
}

/// Whether the class and the request want the device, and the node reaches it.
fn is_selected(claim: &DeviceClaim, wanted: &Wanted<'_>, candidate: &Candidate<'_>, node: &Node) -> Result<bool, String> {
    let of_class = || format!("class {}", wanted.class.name);
    let of_claim = || format!("claim {}", claim.full_name());
    Ok(all_match(&wanted.class.selectors, candidate, of_class)?
        && all_match(&wanted.ask.selectors, candidate, of_claim)?
        && (candidate.slice.reach != Reach::PerDevice || candidate.device.reach.as_ref().is_some_and(|reach| reaches(reach, node))))
}

fn all_match(selectors: &[Selector], candidate: &Candidate<'_>, whose: impl Fn() -> String) -> Result<bool, String> {
    for (i, selector) in selectors.iter().enumerate() {
        let expression = match &selector.expression {
            Ok(expression) => Arc::clone(expression),
            Err(why) => return Err(format!("{}: selector #{i}: CEL compile error: {why}", whose())),
        };
        match expression.matches(&candidate.slice.pool.0, candidate.device) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(why) => return Err(format!("{}: selector #{i} on device {}: CEL runtime error: {why}", whose(), candidate.id())),
        }
    }
    Ok(true)
}
