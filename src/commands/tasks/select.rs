//! Which heads, calibrations and backbone the tasks of a recipe run with, found before any weights are loaded.

use std::ffi::OsStr;

use dino::Result;
use dino::model::device::DeviceChoice;
use dino::model::head::Head;
use dino::model::head_zoo::{DepthCalibration, HeadChoiceReason, HeadStore, LocatedHead};
use dino::model::weights::{self, NamedModel, Store};
use dino::system::environment::EnvVariables;
use dino::system::http::NetworkAccess;
use dino::tasks::recipe::{HeadRecipe, Recipe};
use dino::tasks::stored_features::StoredFeatures;
use dino::terminal::console::Console;

use crate::cli::RunArgs;
use crate::commands::{defaults, model, stored};

/// The heads and the backbone of a run, after defaults and options.
pub struct ModelSelection {
    /// Of each depth task of the recipe, in order.
    pub depth: Vec<Head>,
    /// The fitted calibration of each depth head, if it has one and `--no-calibration` or `--scale` is not given.
    pub calibrations: Vec<Option<DepthCalibration>>,
    /// Of each segmentation task, in order.
    pub segment: Vec<Head>,
    /// Of each dataset of features the head that it is stored for (`--for`).
    pub features: Vec<Option<Head>>,
    /// The backbone.
    pub model: NamedModel,
    /// Tasks and names of default heads; the task `backbone` where no head is needed.
    pub implicit_heads: Vec<(&'static str, String)>,
}

impl ModelSelection {
    /// All heads: depth, segmentation, then those of features.
    pub fn heads(&self) -> impl Iterator<Item = &Head> {
        let of_features = self.features.iter().flatten();
        self.depth.iter().chain(&self.segment).chain(of_features)
    }
}

/// Finds the heads of a recipe, and the backbone that is named or that they read.
///
/// # Errors
/// If a head or backbone is missing, or a head was trained on another backbone than the run's.
pub fn select_models(
    recipe: &Recipe,
    args: &RunArgs,
    store: &Store,
    (stored, console): (Option<&StoredFeatures>, &Console),
) -> Result<ModelSelection> {
    let heads = HeadStore::at(store.root());
    let features = recipe.features.iter().map(|features| {
        let head = features.head.as_deref().map(|name| heads.get(name));
        Ok(head.transpose()?.map(|found| found.head))
    });
    let features = features.collect::<Result<Vec<_>>>()?;
    let backbone = fixed_backbone(recipe, args, (&heads, stored), &features)?;
    let choose = |task: &str, recipe: &HeadRecipe| -> Result<(LocatedHead, bool)> {
        let name = recipe.name.as_deref().map(OsStr::new);
        let (found, reason) = heads.choose_with_reason(task, name, backbone.as_deref())?;
        let is_free = matches!(
            reason,
            HeadChoiceReason::Installed | HeadChoiceReason::Builtin
        );
        Ok((found, is_free))
    };
    let depth = recipe
        .depth
        .iter()
        .map(|depth| choose("depth", &depth.head));
    let mut depth = depth.collect::<Result<Vec<_>>>()?;
    let segment = recipe
        .segment
        .iter()
        .map(|segment| choose("segment", &segment.head));
    let mut segment = segment.collect::<Result<Vec<_>>>()?;
    let mut unnamed = Vec::new();
    let of_depth = depth.iter_mut().map(|head| ("depth", head));
    let of_segment = segment.iter_mut().map(|head| ("segment", head));
    let all: Vec<_> = of_depth.chain(of_segment).collect();
    if all.iter().all(|(_, (_, is_free))| *is_free) {
        let mut all: Vec<_> = all
            .into_iter()
            .map(|(task, (found, _))| (task, found))
            .collect();
        defaults::unify_backbones(&mut all, console)?;
        unnamed = all
            .iter()
            .map(|(task, found)| (*task, found.head.meta.name.clone()))
            .collect();
    }
    let calibrations = recipe.depth.iter().zip(&depth).map(|(recipe, (found, _))| {
        match recipe.no_calibration || recipe.scale.is_some() {
            true => Ok(None),
            false => heads.calibration(found, &mut |why| console.warn(why)),
        }
    });
    let calibrations = calibrations.collect::<Result<Vec<_>>>()?;
    let depth: Vec<Head> = depth.into_iter().map(|(found, _)| found.head).collect();
    let segment: Vec<Head> = segment.into_iter().map(|(found, _)| found.head).collect();
    let of_features = features.iter().flatten();
    let of_head = depth.iter().chain(&segment).chain(of_features).next();
    let of_no_head = of_head.is_none();
    let named = args.model.as_deref().or(recipe.model.as_deref());
    let named = named.or(of_head.map(|head| head.meta.backbone.as_str()));
    let model = match stored {
        Some(stored) => {
            stored::resolve_model(stored, args.model.as_deref().or(recipe.model.as_deref()))?
        }
        None => weights::find(
            store,
            named,
            &NetworkAccess::from_offline_flag(args.offline)?,
        )?,
    };
    if of_no_head && named.is_none() && stored.is_none() {
        let of_variable = EnvVariables::from_process().text("DINO_MODEL")?.is_some();
        // Without a head it is a change of the backbone that is reported.
        unnamed.extend((!of_variable).then(|| ("backbone", model.name.clone())));
    }
    let chosen = ModelSelection {
        depth,
        calibrations,
        segment,
        features,
        model,
        implicit_heads: unnamed,
    };
    if let Some(fingerprint) = &chosen.model.fingerprint {
        let (name, variant) = (&chosen.model.name, chosen.model.variant);
        let weights = (variant.name, fingerprint.as_str());
        chosen
            .heads()
            .try_for_each(|head| head.check_backbone(name, weights, &variant.config))?;
    }
    let mut chosen = chosen;
    if args.device == DeviceChoice::Null {
        let of_features = chosen.features.iter_mut().flatten();
        let heads = chosen.depth.iter_mut().chain(&mut chosen.segment);
        let heads = heads.chain(of_features);
        heads.for_each(|head| head.meta.backbone = model::NULL_MODEL.to_owned());
    }
    Ok(chosen)
}

/// The backbone that options, stored features, named heads or $DINO_MODEL fix; none if default heads may choose.
fn fixed_backbone(
    recipe: &Recipe,
    args: &RunArgs,
    (heads, stored): (&HeadStore, Option<&StoredFeatures>),
    features: &[Option<Head>],
) -> Result<Option<String>> {
    let named = args.model.as_deref().or(recipe.model.as_deref());
    if let Some(name) = named {
        return Ok(Some(name.to_owned()));
    }
    if let Some(stored) = stored {
        return Ok(Some(stored::resolve_model(stored, None)?.name));
    }
    let of_depth = recipe.depth.iter().map(|it| &it.head);
    let of_segment = recipe.segment.iter().map(|it| &it.head);
    let mut names = of_depth
        .chain(of_segment)
        .filter_map(|it| it.name.as_deref());
    if let Some(name) = names.next() {
        return Ok(Some(heads.get(name)?.head.meta.backbone));
    }
    if let Some(head) = features.iter().flatten().next() {
        return Ok(Some(head.meta.backbone.clone()));
    }
    Ok(EnvVariables::from_process()
        .text("DINO_MODEL")?
        .map(str::to_owned))
}

/// Fills in the backbone, heads and calibrations that a recipe leaves open, for `--print-recipe`.
pub fn fill_in_defaults(recipe: &mut Recipe, chosen: &ModelSelection) {
    recipe.model.get_or_insert(chosen.model.name.clone());
    let of_depth = recipe.depth.iter_mut().map(|depth| &mut depth.head);
    let of_segment = recipe.segment.iter_mut().map(|segment| &mut segment.head);
    for (recipe, head) in of_depth.chain(of_segment).zip(chosen.heads()) {
        recipe
            .name
            .get_or_insert_with(|| head.meta.name.clone().into());
    }
    // On another machine, or later, another calibration may be in force.
    for (recipe, calibration) in recipe.depth.iter_mut().zip(&chosen.calibrations) {
        if let Some(calibration) = calibration {
            (recipe.scale, recipe.shift) = (Some(calibration.scale), calibration.shift);
        }
    }
}
