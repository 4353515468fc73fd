//! The shard of a task of an array job (`--shard auto`), from the variables that Slurm, Kubernetes and AWS Batch set.

use crate::error::{Error, Result};
use crate::io::inputs::{Shard, ShardRequest};
use crate::system::environment::EnvVariables;

/// A task of an array job, as its scheduler describes it.
struct ArrayTask {
    /// The variable that holds its index.
    variable: &'static str,
    /// The index of the task.
    index: i64,
    /// The lowest index and the number of tasks, if the scheduler sets them; the number is 0 if the user states the
    /// number of shards.
    index_range: Option<(i64, u32)>,
    /// The index of shard 1 if the user states the number of shards: 1 for Slurm, else 0.
    first_index: i64,
}

impl ShardRequest {
    /// The requested shard, and a note for the user if the number of shards was assumed.
    ///
    /// # Errors
    /// [`Error::Usage`] if the variables of schedulers are not set, are invalid, or contradict each other.
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
            (Some(of), range) => {
                // Only some tasks of the array may run, but their indices must be valid for it.
                let least = task.first_index;
                let most = least + i64::from(of) - 1;
                let is_whole = range.is_none_or(|(first, _)| first >= least);
                if !is_whole || !(least..=most).contains(&index) {
                    return Err(wrong(format!(
                        "{variable} is {index}, and the tasks of such an array have the numbers {least} to {most}{}",
                        match range {
                            Some((first, _)) if !is_whole => format!(", not from {first}"),
                            _ => String::new(),
                        }
                    )));
                }
                if task.first_index == 0
                    && let Some((_, tasks)) = range
                    && tasks != of
                {
                    return Err(wrong(format!(
                        "the array has {tasks} tasks, not {of}; --shard auto takes their number from it"
                    )));
                }
                (least, of)
            }
            (None, Some(range)) => range,
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

/// The index of a task of a Slurm array.
const SLURM: &str = "SLURM_ARRAY_TASK_ID";
/// The index of a pod of an indexed Kubernetes job.
const KUBERNETES: &str = "JOB_COMPLETION_INDEX";
/// The index of a child job of an AWS Batch array.
const AWS: &str = "AWS_BATCH_JOB_ARRAY_INDEX";

/// The array task that runs this program; `is_counted` if the number of shards is already known.
///
/// # Errors
/// A sentence, if none or several schedulers set their variables, or one is invalid.
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
    let index_range = match variable {
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
        index_range,
        first_index: i64::from(variable == SLURM),
    })
}

/// The lowest index of Slurm's array, and the number of tasks, or 0 if `is_counted`; `None` if Slurm states no lowest
/// index and `is_counted`.
///
/// # Errors
/// A sentence, if variables are missing, or the indices are not consecutive.
fn slurm_array(
    variables: &EnvVariables,
    index: i64,
    is_counted: bool,
) -> Result<Option<(i64, u32)>, String> {
    let variable = |name| number(variables, name);
    let least = variable("SLURM_ARRAY_TASK_MIN")?;
    let most = variable("SLURM_ARRAY_TASK_MAX")?;
    let tasks = variable("SLURM_ARRAY_TASK_COUNT")?;
    if is_counted {
        return Ok(least.map(|least| (least, 0)));
    }
    let (Some(least), Some(tasks)) = (least, tasks) else {
        return Err(format!(
            "{SLURM} is set, but SLURM_ARRAY_TASK_MIN or SLURM_ARRAY_TASK_COUNT is not; say how many shards there are: \
             --shard auto/N"
        ));
    };
    let step = variable("SLURM_ARRAY_TASK_STEP")?.unwrap_or(1);
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

/// The integer in a variable; `None` if it is not set.
fn number(variables: &EnvVariables, name: &str) -> Result<Option<i64>, String> {
    let text = variables.text(name).map_err(|error| error.to_string())?;
    let parse = |text: &str| text.parse::<u32>().map(i64::from);
    text.map(|text| parse(text).map_err(|_| format!("{name} is `{text}`, which is no number")))
        .transpose()
}

/// The number of tasks: `value` of the variable `name`, checked to be above 0.
fn count(name: &str, value: i64) -> Result<u32, String> {
    u32::try_from(value)
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| format!("{name} is {value}, which is no number of tasks"))
}
