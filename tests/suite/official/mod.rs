//! Published heads: their files, where they come from, and the numbers that they give, against
//! `tests/goldens/official.py`.

mod depth_anything;
mod files;
mod first_run;
mod numbers;
mod program;
mod pull;
mod seeded;
