//! The next useful thing, where what was typed leads nowhere.

use std::path::Path;

use clap::CommandFactory;

use super::{Cli, Console, shell};

/// What `classify` alone says.
pub(super) const NOTHING_TO_DO: &str = "\
Usage: classify [OPTIONS] PATH...

  classify clip.mp4                   what happens in a clip
  classify clips/ -o labels.csv       the labels of all clips in a folder
  classify train clips/ -o my-model   learn your own labels, from a folder with one folder of clips a label

classify -h shows what else there is.";

/// Other programs' words for what this one does without one.
const LABEL: [&str; 6] = ["label", "predict", "classify", "run", "infer", "detect"];

/// `classify train` where a folder `train` was meant.
pub(super) fn at_folder(console: &Console) {
    let Some(first) = shell::typed().into_iter().nth(1) else { return };
    let Some(name) = first.to_str().filter(|name| Path::new(name).exists()) else { return };
    if Cli::command().find_subcommand(name).is_some() {
        let kind = if Path::new(name).is_dir() { "folder" } else { "file" };
        console.note(format!("\n`{name}` is a command of this program; the {kind} is `./{name}`"));
    }
}

/// What the missing file `word` may have been meant as: a command, or another program's.
pub(super) fn at_command(word: &Path) -> Option<String> {
    // Clips and patterns have more to their names than letters.
    let word = word.to_str().filter(|word| word.chars().all(char::is_alphabetic))?;
    if word == "help" {
        return Some("`classify --help` says what there is".into());
    }
    if LABEL.contains(&word) {
        return Some("to label clips, name them and no command: `classify clip.mp4`".into());
    }
    let command = Cli::command();
    let alike = |name: &&str| strsim::jaro(word, name) > 0.8;
    let name = command.get_subcommands().map(clap::Command::get_name).find(alike)?;
    Some(format!("did you mean `classify {name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_alike_name_the_command() {
        for word in ["trian", "traain", "Train", "trains"] {
            assert_eq!(at_command(Path::new(word)).unwrap(), "did you mean `classify train`?", "{word}");
        }
        for word in ["clip.mp4", "rain.mp4", "clips", "videos", "man.mp4", "train*.mp4", "train1", "./trian"]
        {
            assert_eq!(at_command(Path::new(word)), None, "{word}");
        }
    }
}
