//! The choice of a task's head, by one rule: [`HeadStore::choose_with_reason`].
//!
//! In: the task's name, the head and the backbone that the user named, the environment (`DINO_HEAD_TASK`,
//! `DINO_WEIGHTS`), `config.json` and the store. Out: the head, where it was found, and why it was chosen.

use std::ffi::{OsStr, OsString};

use crate::error::{Error, Result};
use crate::model::head::Head;
use crate::model::head_zoo::builtin;
use crate::model::head_zoo::official::{self, OfficialHead};
use crate::model::head_zoo::store::{HeadLocation, HeadStore, LocatedHead};
use crate::model::weights::config::UserConfig;
use crate::model::weights::{Store, WeightsPolicy};
use crate::system::environment::EnvVariables;

/// The rule by which a head was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadChoiceReason {
    /// The command line named it.
    Named,
    /// This environment variable names it, or the policy that led to it.
    Variable(String),
    /// `config.json` names it.
    Config,
    /// It is the best of those that are installed.
    Installed,
    /// It is the best of those inside the program, and none is installed.
    Builtin,
}

impl HeadStore {
    /// The head for `task` (a word of [`TASKS`](crate::model::head_zoo::TASKS)), see [`HeadStore::choose_with_reason`].
    ///
    /// # Errors
    /// As [`HeadStore::choose_with_reason`].
    pub fn choose(&self, task: &str, named: Option<&OsStr>) -> Result<LocatedHead> {
        Ok(self.choose_with_reason(task, named, None)?.0)
    }

    /// The head for `task`, and why it is this one: the `named` one, else the one in `$DINO_HEAD_<TASK>`, else the
    /// first of those inside the program if `$DINO_WEIGHTS` is `focus`, else the one that `dino config` set (unless
    /// `$DINO_WEIGHTS` is `official`, or it does not read `backbone`), else the best published head that is installed
    /// with its backbone, else the first of the ranking of those inside the program, else the first by name, published
    /// heads without their backbone last. Where no head is named and `backbone` is given, heads that read it come
    /// first.
    ///
    /// # Errors
    /// If the named head does not exist or is for another task, if an installed published head for the task is damaged,
    /// or if no head is found.
    pub fn choose_with_reason(
        &self,
        task: &str,
        named: Option<&OsStr>,
        backbone: Option<&str>,
    ) -> Result<(LocatedHead, HeadChoiceReason)> {
        let variables = EnvVariables::from_process();
        let variable = format!("DINO_HEAD_{}", task.to_ascii_uppercase());
        let wish: Option<(OsString, HeadChoiceReason)> = match (named, variables.text(&variable)?) {
            (Some(name), _) => Some((name.to_owned(), HeadChoiceReason::Named)),
            (None, Some(name)) => Some((name.into(), HeadChoiceReason::Variable(variable))),
            (None, None) => None,
        };
        if let Some((name, reason)) = wish {
            return Ok((self.get_for(task, &name)?, reason));
        }
        let policy = WeightsPolicy::from_variables(&variables)?;
        if policy == WeightsPolicy::Focus {
            let reason = HeadChoiceReason::Variable(WeightsPolicy::VARIABLE.to_owned());
            return Ok((
                self.best(task, backbone, policy, &UserConfig::default())?,
                reason,
            ));
        }
        let config = UserConfig::read(&self.root)?;
        let set = config
            .heads
            .get(task)
            .filter(|_| policy == WeightsPolicy::Best);
        if let Some(name) = set {
            let found = self.get_for(task, name.as_ref()).map_err(|error| {
                Error::Model(format!(
                    "{}: {error}; `dino config {task} --unset` forgets it",
                    UserConfig::path(&self.root).display()
                ))
            })?;
            // A head that was set for all runs does not hold where this run names another backbone.
            if backbone.is_none_or(|backbone| backbone == found.head.meta.backbone) {
                return Ok((found, HeadChoiceReason::Config));
            }
        }
        let found = self.best(task, backbone, policy, &config)?;
        let reason = match (policy, &found.location) {
            (WeightsPolicy::Official, _) => {
                HeadChoiceReason::Variable(WeightsPolicy::VARIABLE.to_owned())
            }
            (_, HeadLocation::Builtin) => HeadChoiceReason::Builtin,
            _ => HeadChoiceReason::Installed,
        };
        Ok((found, reason))
    }

    /// The head called `name`, which has to be for `task`.
    fn get_for(&self, task: &str, name: &OsStr) -> Result<LocatedHead> {
        let found = self.get(name)?;
        match found.head.meta.task_name() == task {
            true => Ok(found),
            false => Err(Error::Usage(format!(
                "the head {} is for `dino {}`, not for `dino {task}`",
                name.display(),
                found.head.meta.task_name()
            ))),
        }
    }

    /// The best head for `task` by the ranking, where none is named.
    fn best(
        &self,
        task: &str,
        backbone: Option<&str>,
        policy: WeightsPolicy,
        config: &UserConfig,
    ) -> Result<LocatedHead> {
        let mut fitting: Vec<(String, LocatedHead)> = Vec::new();
        for (name, found) in self.list()? {
            let is_published = official::find(&name).is_some_and(|it| it.dataset.task() == task);
            match found {
                Ok(found) if found.head.meta.task_name() == task => {
                    let is_avoided =
                        found.location != HeadLocation::Builtin && config.avoid.contains(&name);
                    if !is_avoided {
                        fitting.push((name, found));
                    }
                }
                // A damaged one is not skipped in silence: it might have been the best.
                Err(error) if is_published && policy != WeightsPolicy::Focus => {
                    return Err(Error::Model(format!(
                        "{error}; `dino heads rm {name}` removes it, `dino heads pull {name}` then fetches it anew"
                    )));
                }
                _ => {}
            }
        }
        let store = Store::at(&self.root);
        // A published head counts as available only with its backbone.
        let usable = |official: &OfficialHead| matches!(store.get(official.backbone), Ok(Some(_)));
        let rank = |name: &str, found: &LocatedHead| {
            let official = official::find(name)
                .filter(|_| matches!(found.location, HeadLocation::Installed(_)));
            let builtin = builtin::RANKING.iter().position(|ranked| *ranked == name);
            let is_other = backbone.is_some_and(|backbone| backbone != found.head.meta.backbone);
            let rank = match (official, builtin) {
                (None, Some(place)) if policy == WeightsPolicy::Focus => (0, place),
                (Some(official), _) if usable(&official) => (1, official.rank()),
                (None, Some(place)) => (2, place),
                (None, None) => (3, 0),
                (Some(official), _) => (4, official.rank()),
            };
            (is_other, rank)
        };
        let best = fitting
            .into_iter()
            .min_by_key(|(name, found)| rank(name, found));
        match best {
            Some((name, found)) => {
                let is_published = official::find(&name).is_some();
                if policy == WeightsPolicy::Official && !is_published {
                    return Err(Error::Model(format!(
                        "{}=official: none of Meta's heads for `dino {task}` is to be had here; `dino setup` fetches one",
                        WeightsPolicy::VARIABLE
                    )));
                }
                Ok(found)
            }
            None => {
                let way = match task {
                    "classify" => "`dino heads pull imagenet-linear` fetches one".to_owned(),
                    _ => format!("train one with `dino train {task}` and name it with --head"),
                };
                Err(Error::Model(format!(
                    "there is no head for `dino {task}` yet; {way}"
                )))
            }
        }
    }

    /// The head inside the program that comes first for `task`.
    pub fn builtin(task: &str) -> Option<Head> {
        let named = |name: &&str| builtin::all().find(|(other, _)| other == name);
        let ranked = builtin::RANKING.iter().filter_map(named);
        let mut heads = ranked.filter_map(|(_, head)| head.ok());
        heads.find(|head| head.meta.task_name() == task)
    }
}
