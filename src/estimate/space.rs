//! How full file systems are, by the configured thresholds.
//!
//! **Problem.** A full file system stops whoever writes to it, whatever their priority, and no pressure tells of it before.
//!
//! **Approach.** Two of the machines of [`super::pressure`] for each file system, one for space and one for inodes, on what the last survey
//! found. Nothing is decided by it: who fills a file system is not known. Somebody is to know.
//!
//! **Terms.** *alert*: the worse of both machines.
//!
//! **Algorithm.** At each look, the machines step on the last survey, so that their dwells pass as everywhere. What hangs or refuses is
//! missing: its alert stays.
//!
//! **Properties**, each a test below: an alert ends five points below where it began; one that hangs raises nothing; what is mounted no more
//! is forgotten; the same survey allocates nothing.

use super::filling::Filling;
use super::pressure::{Input, Machine, Moment, Signal, configured};
use crate::config::Steps;
use crate::model::{FileSystem, FileSystemView, Level, Room};
use crate::units::Ppm;

/// All file systems between two looks, by mount point.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Space {
    each: Vec<Kept>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    seen: FileSystem,
    space: Machine,
    inodes: Machine,
    filling: Filling,
    /// Whether each was ever known.
    ever: (bool, bool),
}

impl Kept {
    fn new(seen: &FileSystem) -> Self {
        Self {
            seen: seen.clone(),
            space: Machine::default(),
            inodes: Machine::default(),
            filling: Filling::default(),
            ever: (false, false),
        }
    }

    /// The worse machine.
    fn worse(&self) -> &Machine {
        if self.inodes.level() > self.space.level() { &self.inodes } else { &self.space }
    }
}

impl Space {
    /// Takes in one look. Whether an alert moved, or a file system began or ceased to answer. Allocates only for what was not there before.
    pub(super) fn update(
        &mut self,
        seen: &[FileSystem],
        thresholds: &Steps,
        moment: Moment,
    ) -> bool {
        let place = |kept: &Kept| seen.binary_search_by(|one| one.at.cmp(&kept.seen.at));
        let before = self.each.len();
        self.each.retain(|kept| place(kept).is_ok());
        let mut moved = before != self.each.len();
        for one in seen {
            let place = self.each.binary_search_by(|kept| kept.seen.at.cmp(&one.at));
            if let Err(place) = place {
                moved |= !matches!(one.room, Room::Known { .. });
                self.each.insert(place, Kept::new(one));
            }
        }
        for (kept, one) in self.each.iter_mut().zip(seen) {
            let answered = matches!(kept.seen.room, Room::Known { .. });
            moved |= answered != matches!(one.room, Room::Known { .. });
            if kept.seen.kind == one.kind {
                kept.seen.room = one.room;
            } else {
                *kept = Kept::new(one);
            }
            moved |= kept.step(thresholds, moment);
        }
        moved
    }

    /// Everything, as it is recorded.
    pub(super) fn view(&self) -> Vec<FileSystemView> {
        let view = |kept: &Kept| FileSystemView {
            seen: kept.seen.clone(),
            alert: kept.worse().level(),
            since: kept.worse().since(),
            cause: kept.worse().cause(),
            fills: kept.filling.fills_in(),
        };
        self.each.iter().map(view).collect()
    }
}

impl Kept {
    fn step(&mut self, thresholds: &Steps, moment: Moment) -> bool {
        let (used, inodes) = match self.seen.room {
            Room::Known { used, inodes, .. } => (used, inodes),
            Room::Hangs { .. } | Room::Failed { .. } => (None, None),
        };
        let before = self.alerts();
        let steps = configured(thresholds.warning, thresholds.critical, thresholds.emergency);
        let input = |signal: Signal, value: Option<Ppm>, ever: &mut bool| {
            *ever |= value.is_some();
            [Input { signal, steps, who: None, value, missing: *ever && value.is_none() }]
        };
        self.space.step(&input(Signal::SpaceUsed, used, &mut self.ever.0), moment);
        self.inodes.step(&input(Signal::InodesUsed, inodes, &mut self.ever.1), moment);
        let moved = self.filling.look(used.max(inodes), moment.at);
        moved || before != self.alerts()
    }

    fn alerts(&self) -> (Level, Level) {
        (self.space.level(), self.inodes.level())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Thresholds;
    use crate::units::{Bytes, Span, Tick};

    fn filesystem(at: &str, used: u32, inodes: u32) -> FileSystem {
        let (used, inodes) = (Some(Ppm::percent(used)), Some(Ppm::percent(inodes)));
        let room = Room::Known { size: Bytes::mebi(100), used, inodes };
        FileSystem { at: at.to_owned(), kind: "ext4".to_owned(), room }
    }

    struct World {
        space: Space,
        at: Tick,
        moves: usize,
    }

    impl World {
        fn new() -> Self {
            Self { space: Space::default(), at: Tick(1_000_000), moves: 0 }
        }

        fn for_secs(&mut self, secs: u64, seen: &[FileSystem]) -> Vec<Level> {
            for _ in 0..secs {
                self.at = self.at.plus(Span::secs(1));
                let moment = Moment { at: self.at, gap: false, alarm: false };
                let moved = self.space.update(seen, &Thresholds::default().disk, moment);
                self.moves += usize::from(moved);
            }
            self.space.view().iter().map(|view| view.alert).collect()
        }
    }

    #[test]
    fn space_and_inodes_raise_an_alert_that_ends_five_points_lower() {
        let mut world = World::new();
        let both = |used, inodes| [filesystem("/", 10, 10), filesystem("/srv", used, inodes)];
        assert_eq!(world.for_secs(10, &both(79, 10)), [Level::Normal, Level::Normal]);
        assert_eq!(world.for_secs(10, &both(91, 10)), [Level::Normal, Level::Critical]);
        assert_eq!(world.for_secs(120, &both(86, 10)), [Level::Normal, Level::Critical]);
        assert_eq!(world.for_secs(120, &both(84, 10)), [Level::Normal, Level::Warning]);
        assert_eq!(world.for_secs(10, &both(84, 97)), [Level::Normal, Level::Emergency]);
        let view = &world.space.view()[1];
        assert_eq!(view.cause, "97% of its inodes are in use, 95% is too much");
        assert_eq!(world.for_secs(200, &both(20, 20)), [Level::Normal, Level::Normal]);
        assert!(world.moves >= 5, "{}", world.moves);
    }

    #[test]
    fn one_that_hangs_keeps_its_alert_and_raises_none() {
        let mut world = World::new();
        let hangs = FileSystem { room: Room::Hangs { since: Tick(7) }, ..filesystem("/far", 0, 0) };
        assert_eq!(world.for_secs(60, std::slice::from_ref(&hangs)), [Level::Normal]);
        assert_eq!(world.moves, 1, "also one that hangs from the first");
        assert_eq!(world.for_secs(10, &[filesystem("/far", 99, 1)]), [Level::Emergency]);
        let moves = world.moves;
        assert_eq!(world.for_secs(200, &[hangs]), [Level::Emergency]);
        assert_eq!(world.moves, moves + 1, "that it hangs is news once");
    }

    #[test]
    fn what_is_mounted_no_more_is_forgotten() {
        let mut world = World::new();
        world.for_secs(10, &[filesystem("/a", 99, 1), filesystem("/b", 1, 1)]);
        assert_eq!(world.for_secs(1, &[filesystem("/b", 1, 1), filesystem("/c", 99, 1)]).len(), 2);
        assert_eq!(world.for_secs(0, &[]), [Level::Normal, Level::Normal], "another begins anew");
    }
}
