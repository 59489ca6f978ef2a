//! When the object is woken: by a timer if that is soon or something keeps it awake anyway, else by its alarm, which
//! outlives it. A timer that waits keeps it from sleeping.
//!
//! The alarm's handler does the chores ([`super::jobs`]). If it fails, the platform calls it again, later each time.

use super::{Awake, Object};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use wasm_bindgen::JsValue;
use worker::js_sys::Date;
use worker::{Delay, Error, console_error};
use yonder_core::{Host as _, Millis};

/// Milliseconds that the object stays awake for a timer; about what the platform gives it without work.
const NAP: u64 = 10_000;
/// Milliseconds until what nobody waits for is done.
const CHORES: u64 = 10_000;

#[derive(Default)]
pub(super) struct Clock {
    /// When the next timer fires. An earlier one stays: then it is asked again what is next.
    timer: Cell<Option<Millis>>,
    alarm: Cell<Alarm>,
    /// The alarm's handler runs, and will ask again when it is done.
    in_alarm: Cell<bool>,
}

#[derive(Debug, Clone, Copy, Default)]
enum Alarm {
    /// An earlier instance may have set one.
    #[default]
    Unknown,
    Set(Millis),
    None,
}

impl Object {
    /// Sees that the object is woken for what comes next.
    pub(super) fn arrange(self: &Rc<Self>, awake: &Awake) {
        let now = awake.host.now();
        let mut alarm = None;
        if !self.clock.in_alarm.get() {
            let resting = awake.room.connections() == 0;
            let log = &awake.host.log;
            if awake.host.compaction.is_some() {
                alarm = Some(now);
            } else if log.is_unlisted()
                || log.has_litter && awake.host.has_bucket
                || resting && log.has_chores(self.setup.publishes)
            {
                alarm = Some(now.after(CHORES));
            }
        }
        if let Some((at, _)) = awake.room.poll_timeout() {
            if at.since(now) <= NAP || awake.host.holds_requests() {
                self.set_timer(now, at);
            } else {
                alarm = Some(alarm.map_or(at, |alarm| alarm.min(at)));
            }
        }
        if let Some(at) = alarm {
            self.set_alarm(at);
        }
    }

    fn set_timer(self: &Rc<Self>, now: Millis, at: Millis) {
        if self.clock.timer.get().is_some_and(|timer| timer <= at) {
            return;
        }
        self.clock.timer.set(Some(at));
        let object = Rc::clone(self);
        super::spawn(async move {
            Delay::from(Duration::from_millis(at.since(now))).await;
            if object.clock.timer.get() == Some(at) {
                object.clock.timer.set(None);
            }
            // It gives the room its tick, and asks what is next. An object that cannot wake has said so.
            let _ = object.with(|_| ());
        });
    }

    fn set_alarm(self: &Rc<Self>, at: Millis) {
        match self.clock.alarm.get() {
            Alarm::Set(known) if known <= at => {}
            Alarm::Set(_) | Alarm::None => self.set_alarm_now(at),
            Alarm::Unknown => {
                self.clock.alarm.set(Alarm::Set(at));
                let object = Rc::clone(self);
                super::spawn(async move {
                    let known = object.state.storage().get_alarm().await.ok().flatten();
                    match known.and_then(|known| u64::try_from(known).ok()).map(Millis) {
                        Some(known) if known <= at => object.clock.alarm.set(Alarm::Set(known)),
                        _ => object.set_alarm_now(at),
                    }
                });
            }
        }
    }

    fn set_alarm_now(&self, at: Millis) {
        self.clock.alarm.set(Alarm::Set(at));
        let date = Date::new(&JsValue::from_f64(at.0 as f64));
        // It is written with what else this event writes. That it is, nobody waits for.
        let set = self
            .state
            .as_raw()
            .storage()
            .and_then(|storage| storage.set_alarm(date, JsValue::UNDEFINED.into()));
        if let Err(error) = set {
            self.clock.alarm.set(Alarm::Unknown);
            console_error!("no alarm was set: {error:?}");
        }
    }

    /// The alarm has come.
    pub(super) async fn on_alarm(self: &Rc<Self>) -> Result<(), Error> {
        self.clock.alarm.set(Alarm::None);
        self.clock.in_alarm.set(true);
        let done = self.do_chores().await;
        self.clock.in_alarm.set(false);
        // The room's own time may have come as well.
        let _ = self.with(|_| ());
        done
    }
}
