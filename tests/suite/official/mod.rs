//! Published heads: their files, their downloads, and their outputs against `tests/goldens/official.py`.

mod depth_anything;
mod files;
mod first_run;
mod numbers;
mod program;
mod pull;
mod seeded;
