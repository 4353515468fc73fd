//! Which shard a task of an array job is, from the variables that its scheduler sets.

use crate::error::{Error, Result};
use crate::io::inputs::{Shard, ShardRequest};
use crate::system::environment::EnvVariables;

/// An array job's task, as its scheduler tells it.
struct ArrayTask {
    /// What tells it.
    variable: &'static str,
    index: i64,
    /// The least index, and how many there are, where that is told.
    index_range: Option<(i64, u32)>,
    /// What the index of the first of all shards is.
    first_index: i64,
}

impl ShardRequest {
    /// The shard that is meant, and what is to be said about it.
    ///
    /// # Errors
    /// [`Error::Usage`] if the variables of schedulers do not tell it, or contradict each other.
    pub fn resolve(self, variables: &EnvVariables) -> Result<(Shard, Option<String>)> {
        let of = match self {
            ShardRequest::Explicit(shard) => return Ok((shard, None)),
            ShardRequest::Auto(of) => of,
        };
        let flag = match of {
            Some(of) => format!("--shard auto/{of}"),
            None => "--shard auto".to_owned(),
        };
        let wrong = |why: String| Error::Usage(format!("{flag}: {why}"));
        let task = array_task(variables, of.is_some()).map_err(wrong)?;
        let ArrayTask {
            variable, index, ..
        } = task;
        let (least, count) = match (of, task.index_range) {
            (Some(of), told) => {
                // A part of the array may run alone, but it must be of that array.
                let least = task.first_index;
                let most = least + i64::from(of) - 1;
                let is_whole = told.is_none_or(|(first, _)| first >= least);
                if !is_whole || !(least..=most).contains(&index) {
                    return Err(wrong(format!(
                        "{variable} is {index}, and the tasks of such an array have the numbers {least} to {most}{}",
                        match told {
                            Some((first, _)) if !is_whole => format!(", not from {first}"),
                            _ => String::new(),
                        }
                    )));
                }
                if task.first_index == 0
                    && let Some((_, told)) = told
                    && told != of
                {
                    return Err(wrong(format!(
                        "the array has {told} tasks, not {of}; --shard auto takes their number from it"
                    )));
                }
                (least, of)
            }
            (None, Some(told)) => told,
            (None, None) => {
                return Err(wrong(format!(
                    "{variable} tells which task this is, but nothing tells how many there are; say so: --shard auto/N, with \
                     the N of the job's completions"
                )));
            }
        };
        let number = u32::try_from(index - least + 1).unwrap_or(0);
        let shard = Shard::new(number, count).map_err(|_| {
            wrong(format!(
                "{variable} is {index}, which is none of {count} tasks from {least} on"
            ))
        })?;
        let note = (of.is_none() && least > 1).then(|| {
            format!(
                "the tasks {least} to {} are taken for {count} shards of all photos; if they are some of a larger array, say \
                 of how many: --shard auto/N",
                least + i64::from(count) - 1
            )
        });
        Ok((shard, note))
    }
}

const SLURM: &str = "SLURM_ARRAY_TASK_ID";
const KUBERNETES: &str = "JOB_COMPLETION_INDEX";
const AWS: &str = "AWS_BATCH_JOB_ARRAY_INDEX";

/// Which task of which scheduler's array this is; `is_counted` says that how many there are is known already.
fn array_task(variables: &EnvVariables, is_counted: bool) -> Result<ArrayTask, String> {
    let mut tasks = Vec::new();
    for variable in [SLURM, KUBERNETES, AWS] {
        if let Some(index) = number(variables, variable)? {
            tasks.push((variable, index));
        }
    }
    let (variable, index) = match tasks.as_slice() {
        [task] => *task,
        [] => {
            return Err(format!(
                "none of {SLURM}, {KUBERNETES} and {AWS} is set, as they are in the tasks of an array job; name the shard: \
                 --shard K/N"
            ));
        }
        [(one, _), (other, _), ..] => {
            return Err(format!(
                "{one} and {other} are both set, of two schedulers; name the shard: --shard K/N"
            ));
        }
    };
    let array = match variable {
        SLURM => slurm_array(variables, index, is_counted)?,
        AWS => {
            let size = number(variables, "AWS_BATCH_JOB_ARRAY_SIZE")?;
            size.map(|size| Ok::<_, String>((0, count("AWS_BATCH_JOB_ARRAY_SIZE", size)?)))
                .transpose()?
        }
        _ => None,
    };
    Ok(ArrayTask {
        variable,
        index,
        index_range: array,
        first_index: i64::from(variable == SLURM),
    })
}

/// The least task of Slurm's array, and how many there are.
fn slurm_array(
    variables: &EnvVariables,
    index: i64,
    is_counted: bool,
) -> Result<Option<(i64, u32)>, String> {
    let of = |name| number(variables, name);
    let (least, most) = (of("SLURM_ARRAY_TASK_MIN")?, of("SLURM_ARRAY_TASK_MAX")?);
    let tasks = of("SLURM_ARRAY_TASK_COUNT")?;
    if is_counted {
        return Ok(least.map(|least| (least, 0)));
    }
    let (Some(least), Some(tasks)) = (least, tasks) else {
        return Err(format!(
            "{SLURM} is set, but SLURM_ARRAY_TASK_MIN or SLURM_ARRAY_TASK_COUNT is not; say how many shards there are: \
             --shard auto/N"
        ));
    };
    let step = of("SLURM_ARRAY_TASK_STEP")?.unwrap_or(1);
    let most = most.unwrap_or(least + tasks - 1);
    if step != 1 || most - least + 1 != tasks {
        return Err(format!(
            "the {tasks} tasks of this array do not follow each other from {least} to {most}, so that nothing tells how many \
             shards there are; say so: --shard auto/N takes the task's number, 1 to N, for the shard's"
        ));
    }
    if !(least..=most).contains(&index) {
        return Err(format!(
            "{SLURM} is {index}, but the tasks of the array are {least} to {most}"
        ));
    }
    Ok(Some((least, count("SLURM_ARRAY_TASK_COUNT", tasks)?)))
}

fn number(variables: &EnvVariables, name: &str) -> Result<Option<i64>, String> {
    let text = variables.text(name).map_err(|error| error.to_string())?;
    let parse = |text: &str| text.parse::<u32>().map(i64::from);
    text.map(|text| parse(text).map_err(|_| format!("{name} is `{text}`, which is no number")))
        .transpose()
}

fn count(name: &str, value: i64) -> Result<u32, String> {
    u32::try_from(value)
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| format!("{name} is {value}, which is no number of tasks"))
}
