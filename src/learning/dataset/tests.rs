use std::fs;

use tempfile::TempDir;

use super::*;

/// A folder with files of distinct contents.
fn folder(names: &[String]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in names {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    dir
}

/// `groups` source videos of `clips` clips in each of `classes`, named as in UCF-101.
fn ucf(classes: &[&str], groups: usize, clips: usize) -> Vec<String> {
    let mut names = Vec::new();
    for class in classes {
        for g in 1..=groups {
            names.extend((1..=clips).map(|c| format!("{class}/v_{class}_g{g:02}_c{c:02}.avi")));
        }
    }
    names
}

fn list(dir: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

fn open(path: impl AsRef<Path>) -> Dataset {
    Dataset::open(path, &Options::default()).unwrap()
}

fn groups_of(data: &Dataset, split: Split) -> HashSet<String> {
    data.part(split).map(|s| s.group.clone()).collect()
}

#[test]
fn a_folder_is_cut_by_group_stratified_and_the_same_each_time() {
    let dir = folder(&ucf(&["PullUps", "PushUps", "Lunges"], 10, 4));
    let data = open(dir.path());
    assert_eq!(data.labels, ["Lunges", "PullUps", "PushUps"]);
    assert_eq!(data.grouping, Grouping::Name);
    assert_eq!(data.cut, Some(Cut::ByGroup));
    assert_eq!(data.class_counts(Split::Val), [8, 8, 8]);
    assert_eq!(data.class_counts(Split::Train), [32, 32, 32]);
    let (train, val) = (groups_of(&data, Split::Train), groups_of(&data, Split::Val));
    assert!(train.is_disjoint(&val));
    // Numbers count within a class: g01 of two classes are two videos.
    assert!(train.contains("v_PullUps_g10") != val.contains("v_PullUps_g10"));
    assert_eq!(train.len() + val.len(), 30);
    assert_eq!(data.warnings, [Warning::NoTest]);
    assert_eq!(data.samples, open(dir.path()).samples);
    let other = Options { seed: 1, ..Options::default() };
    let other = Dataset::open(dir.path(), &other).unwrap();
    assert_ne!(groups_of(&other, Split::Val), val);
    let table = data.split_table();
    assert!(table.contains("32 (8)   8 (2)\n"), "{table}");
    assert!(table.contains("96 (24)  24 (6)"), "{table}");
}

#[test]
fn folders_named_after_the_split_are_no_classes() {
    let names = ["train/a/1.mp4", "train/b/2.mp4", "val/a/3.mp4", "test/b/4.mp4"];
    let dir = folder(&names.map(String::from));
    let data = open(dir.path());
    assert_eq!(data.labels, ["a", "b"]);
    let splits: Vec<Split> = data.samples.iter().map(|s| s.split).collect();
    assert_eq!(splits, [Split::Test, Split::Train, Split::Train, Split::Val]);
    assert_eq!(data.cut, None);
}

#[test]
fn folders_without_a_video_do_not_make_the_parts_classes() {
    let names = ["train/a/1.mp4", "train/b/2.mp4", "test/a/3.mp4", "annotations/boxes.json"];
    let data = open(folder(&names.map(String::from)).path());
    assert_eq!(data.labels, ["a", "b"]);
    assert_eq!(data.class_counts(Split::Test), [1, 0]);
    let said = |w: Warning| assert!(data.warnings.contains(&w), "{w} in {:?}", data.warnings);
    said(Warning::EmptyClass("annotations".into()));
    said(Warning::OtherFiles(1));
    // Nor does a training part that is empty, where only the test is of interest.
    let dir = folder(&["test/a/1.mp4".into()]);
    fs::create_dir(dir.path().join("train")).unwrap();
    let options = Options { labels: Some(vec!["a".into()]), cut: false, ..Options::default() };
    let data = Dataset::open(dir.path(), &options).unwrap();
    assert_eq!(data.class_counts(Split::Test), [1]);
}

#[test]
fn videos_beside_the_parts_are_an_error_and_a_train_may_be_a_class() {
    let names = ["train/a/1.mp4", "train/b/2.mp4", "test/a/3.mp4", "extra/4.mp4"];
    let error = Dataset::open(folder(&names.map(String::from)).path(), &Options::default()).unwrap_err();
    assert!(error.to_string().contains("videos in 'extra'"), "{error}");
    let data = open(folder(&["car/1.mp4", "train/2.mp4"].map(String::from)).path());
    assert_eq!(data.labels, ["car", "train"]);
}

/// The names of the background clips in one part of the split, without their folders.
fn background_of(data: &Dataset, split: Split) -> Vec<String> {
    let name = |sample: &Sample| sample.path.file_name().unwrap().to_string_lossy().into_owned();
    data.none.part(split).map(name).collect()
}

#[test]
fn a_clip_that_is_labelled_and_shows_none_of_the_labels_keeps_its_label() {
    let dir = folder(&ucf(&["a", "b"], 5, 1));
    let background = folder(&["x.mp4", "y.mp4"].map(String::from));
    // Folders of these tests hold files whose content is their own path.
    fs::write(background.path().join("x.mp4"), "a/v_a_g01_c01.avi").unwrap();
    let options = Options { background: Some(background.path().into()), ..Options::default() };
    let data = Dataset::open(dir.path(), &options).unwrap();
    let said = Warning::LabelledAndNone(vec!["a/v_a_g01_c01.avi".into()]);
    assert!(data.warnings.contains(&said), "{:?}", data.warnings);
    assert_eq!((data.samples.len(), background_of(&data, Split::Train)), (10, vec!["y.mp4".to_owned()]));
    let lost = |w: &Warning| matches!(w, Warning::LostBackground(_));
    assert!(!data.warnings.iter().any(lost), "{:?}", data.warnings);
    // All of them, and by other paths at that.
    let options = Options { background: Some(dir.path().join("b/../a")), ..Options::default() };
    let data = Dataset::open(dir.path(), &options).unwrap();
    assert!(data.none.samples.is_empty() && data.warnings.contains(&Warning::LostBackground(5)));
}

#[test]
fn a_background_clip_is_taken_once() {
    let mut names = ucf(&["a", "b"], 5, 1);
    names.extend(["_none_/x.mp4", "_none_/y.mp4", "_none_/z.mp4"].map(String::from));
    let dir = folder(&names);
    fs::write(dir.path().join("_none_/z.mp4"), "_none_/y.mp4").unwrap();
    let options = Options { background: Some(dir.path().join("a/../_none_")), ..Options::default() };
    let data = Dataset::open(dir.path(), &options).unwrap();
    assert_eq!(data.none.samples.len(), 2);
    assert!(data.warnings.contains(&Warning::RepeatedBackground(4)), "{:?}", data.warnings);
}

#[test]
fn background_that_is_learned_and_measured_is_said() {
    let names = ["a1.mp4", "a2.mp4", "b1.mp4", "b2.mp4", "x.mp4", "y.mp4", "new/copy.mp4", "z.mp4"];
    let dir = folder(&names.map(String::from));
    fs::write(dir.path().join("new/copy.mp4"), "x.mp4").unwrap();
    let text = "path,label,split,group\na1.mp4,a,train,1\na2.mp4,a,test,2\nb1.mp4,b,train,3\nb2.mp4,b,val,4\n\
        x.mp4,_none_,test,5\ny.mp4,_none_,test,1\nz.mp4,_none_,train,4\n";
    let options = Options { background: Some(dir.path().join("new")), ..Options::default() };
    let data = Dataset::open(list(&dir, "clips.csv", text), &options).unwrap();
    let copy = dir.path().join("new/copy.mp4").to_string_lossy().into_owned();
    let said = |w: Warning| assert!(data.warnings.contains(&w), "{w} in {:?}", data.warnings);
    said(Warning::SameClipInTest(vec!["x.mp4".into(), copy.clone()]));
    let leak = |groups: [&str; 2], part, clips, of| {
        let groups = groups.map(String::from).into_iter().filter(|group| !group.is_empty()).collect();
        Warning::GroupsOnBothSides { groups, part, clips, of }
    };
    // The copy has no group of its own; its twin is put into the one that it is.
    said(leak([&copy, "1"], "test", 2, 3));
    said(leak(["4", ""], "val", 1, 1));
}

#[test]
fn background_follows_the_cut_of_the_labels() {
    let mut names = ucf(&["a", "b"], 10, 2);
    names.extend((1..=10).map(|g| format!("_none_/v_a_g{g:02}_c09.avi")));
    let dir = folder(&names);
    let data = open(dir.path());
    let (train, val) = (groups_of(&data, Split::Train), groups_of(&data, Split::Val));
    for clip in &data.none.samples {
        let of_group = if clip.split == Split::Val { &val } else { &train };
        assert!(of_group.contains(&clip.group), "{} in {:?}", clip.name, clip.split);
    }
    assert_eq!(background_of(&data, Split::Val).len(), 2);
    // Of sources of its own it has its share, and something is left to learn from.
    for (groups, wanted) in [(10, 2), (3, 1), (1, 0)] {
        let mut names = ucf(&["a", "b"], 10, 2);
        names.extend((1..=groups).map(|g| format!("_none_/v_x_g{g:02}_c01.avi")));
        let data = open(folder(&names).path());
        assert_eq!(background_of(&data, Split::Val).len(), wanted, "{groups}");
    }
}

#[test]
fn names_of_background_clips_say_nothing_of_the_other_clips_sources() {
    let names =
        ["a/1.mp4", "a/2.mp4", "b/3.mp4", "b/4.mp4", "_none_/v_x_g01_c01.avi", "_none_/v_x_g01_c02.avi"];
    let data = open(folder(&names.map(String::from)).path());
    assert_eq!(data.grouping, Grouping::Clip);
    assert!(data.warnings.contains(&Warning::NoGroups), "{:?}", data.warnings);
    assert_eq!(data.none.samples[0].group, data.none.samples[1].group);
}

#[test]
fn a_test_part_of_background_alone_measures_no_label() {
    let names = ["1.mp4", "2.mp4", "3.mp4", "4.mp4", "x.mp4"];
    let dir = folder(&names.map(String::from));
    let train = "path,label,split\n1.mp4,a,train\n2.mp4,a,train\n3.mp4,b,train\n4.mp4,b,train\n";
    for clip in ["x.mp4", "gone.mp4"] {
        let data = open(list(&dir, "clips.csv", &format!("{train}{clip},_none_,test\n")));
        assert!(data.warnings.contains(&Warning::NoTest), "{:?}", data.warnings);
        assert!(data.has(Split::Test) && data.count(Split::Test) == 0);
    }
}

#[test]
fn what_is_odd_in_a_folder_is_said() {
    let mut names = ucf(&["a", "b"], 5, 1);
    names.extend(["lone/x.mp4", "b/notes.txt", "readme.md", ".git/x.mp4"].map(String::from));
    let dir = folder(&names);
    fs::create_dir(dir.path().join("empty")).unwrap();
    fs::write(dir.path().join("a/v_a_g09_c01.avi"), "").unwrap();
    fs::write(dir.path().join("b/v_b_g09_c01.avi"), "a/v_a_g01_c01.avi").unwrap();
    let data = open(dir.path());
    assert_eq!(data.labels, ["a", "b", "lone"]);
    let said = |w: Warning| assert!(data.warnings.contains(&w), "{w} in {:?}", data.warnings);
    said(Warning::EmptyClass("empty".into()));
    said(Warning::OneClip("lone".into()));
    said(Warning::OtherFiles(2));
    let same = ["a/v_a_g01_c01.avi", "b/v_b_g09_c01.avi"];
    said(Warning::SameClipInClasses(same.map(String::from).into()));
    assert!(!data.warnings.iter().any(|w| matches!(w, Warning::LabelledAndNone(_))), "{:?}", data.warnings);
    assert_eq!(data.problems.len(), 1);
    assert_eq!(data.problems[0].reason, "the file is empty");
    let group = |name: &str| &data.samples.iter().find(|s| s.name == name).unwrap().group;
    assert_eq!(group(same[0]), group(same[1]));
}

#[test]
fn a_csv_list_is_obeyed() {
    let names = ["a 1.mp4", "a2.mp4", "b1.mp4", "b2.mp4", "b3.mp4"].map(String::from);
    let dir = folder(&names);
    let text = "\u{feff}label,path,split,group,notes\n\
        a,a 1.mp4,train,x,\na,a2.mp4,val,y,\nb,b1.mp4,Train,x,\nb,b2.mp4,test,x,\n\
        b,b3.mp4,validation,z,\nb,gone.mp4,test,z,\nb,b1.mp4,train,x,\n";
    let data = open(list(&dir, "clips.csv", text));
    let splits: Vec<Split> = data.samples.iter().map(|s| s.split).collect();
    use Split::*;
    assert_eq!(splits, [Train, Val, Train, Test, Val]);
    assert_eq!(data.samples[0].path, dir.path().join("a 1.mp4"));
    assert_eq!(data.problems[0].sample.split, Test);
    assert_eq!(data.problems[0].reason, "no such file");
    let leak = Warning::GroupsOnBothSides { groups: vec!["x".into()], part: "test", clips: 1, of: 1 };
    let wanted = [Warning::UnreadColumns(vec!["notes".into()]), Warning::RepeatedRows(1), leak];
    assert!(wanted.iter().all(|w| data.warnings.contains(w)), "{:?}", data.warnings);
}

#[test]
fn lists_of_the_known_data_sets_are_read() {
    let dir = folder(&ucf(&["Pull Ups", "PushUps"], 3, 2));
    let train: Vec<String> = (ucf(&["Pull Ups"], 3, 2).iter().map(|n| format!("{n} 1")))
        .chain(ucf(&["PushUps"], 3, 2).iter().map(|n| format!("{n} 2")))
        .collect();
    // UCF-101: the numbers go with the folders one to one, which name the classes.
    let data = open(list(&dir, "trainlist01.txt", &train.join("\r\n")));
    assert_eq!(data.labels, ["Pull Ups", "PushUps"]);
    assert_eq!(data.samples[0].label(), 0);
    assert_eq!(data.grouping, Grouping::Name);
    // UCF-101 test lists name no label.
    let path = list(&dir, "testlist01.txt", &ucf(&["PushUps"], 3, 2).join("\n"));
    let known = Options { labels: Some(data.labels.clone()), cut: false, ..Options::default() };
    let test = Dataset::open(&path, &known).unwrap();
    assert!(test.samples.iter().all(|s| s.label() == 1));
    assert!(!test.split_given);
    // Kinetics and MMAction2: numbers without folders, or names.
    let dir = folder(&["x y.mp4", "z.mp4", "w.mp4"].map(String::from));
    let data = open(list(&dir, "a.txt", "x y.mp4 10\nz.mp4 2\n\nw.mp4 10\n"));
    assert_eq!(data.labels, ["2", "10"]);
    let data = open(list(&dir, "b.txt", "x y.mp4 push up\nz.mp4 pull up\n"));
    assert_eq!(data.labels, ["pull up", "push up"]);
    // A model's own labels: the number is an index.
    let known = ["a", "b", "c"].map(String::from).to_vec();
    let options = Options { labels: Some(known), cut: false, ..Options::default() };
    let path = list(&dir, "c.txt", "x y.mp4 2\nz.mp4 b\n");
    let data = Dataset::open(path, &options).unwrap();
    let labels: Vec<usize> = data.samples.iter().map(|s| s.label()).collect();
    assert_eq!(labels, [2, 1]);
}

#[test]
fn where_classes_are_called_by_numbers_a_number_is_no_index() {
    let dir = folder(&["x.mp4", "y.mp4"].map(String::from));
    let known = ["1", "3"].map(String::from).to_vec();
    let options = Options { labels: Some(known), cut: false, ..Options::default() };
    let data = Dataset::open(list(&dir, "a.txt", "x.mp4 3\ny.mp4 1\n"), &options).unwrap();
    assert_eq!(data.samples.iter().map(|s| s.label()).collect::<Vec<_>>(), [1, 0]);
    let error = Dataset::open(list(&dir, "b.txt", "x.mp4 0\ny.mp4 1\n"), &options).unwrap_err();
    assert!(error.to_string().contains("doesn't know: '0' (it knows: 1, 3)"), "{error}");
}

#[test]
fn a_part_or_class_none_of_whose_clips_can_be_read_is_there_and_named() {
    let dir = folder(&["1.mp4", "2.mp4", "3.mp4", "4.mp4"].map(String::from));
    let text = "path,label,split\n1.mp4,a,train\n2.mp4,a,train\n3.mp4,b,train\n4.mp4,b,train\n\
        gone.mp4,c,train\nlost/1.mp4,a,test\nlost/2.mp4,b,test\n";
    let path = list(&dir, "clips.csv", text);
    let data = open(&path);
    assert!(data.has(Split::Test) && data.count(Split::Test) == 0);
    let said = |w: &Warning| data.warnings.contains(w);
    assert!(!said(&Warning::NoTest), "{:?}", data.warnings);
    assert!(said(&Warning::LostPart(Split::Test, 2)), "{:?}", data.warnings);
    assert!(said(&Warning::LostClass("c".into(), 1)), "{:?}", data.warnings);
    assert_eq!(data.warnings.iter().filter(|w| matches!(w, Warning::LostClass(..))).count(), 1);
    // A model's classes that the data has no clip of are not lost.
    let known = ["a", "b", "c", "d"].map(String::from).to_vec();
    let options = Options { labels: Some(known), cut: false, ..Options::default() };
    let data = Dataset::open(&path, &options).unwrap();
    assert!(data.has(Split::Test) && !data.has(Split::Val));
    assert_eq!(data.warnings, [Warning::LostClass("c".into(), 1)]);
    // Where too little is left to train, the error says why.
    let path = list(&dir, "b.csv", "path,label\n1.mp4,a\n2.mp4,a\ngone.mp4,b\n");
    let error = Dataset::open(path, &Options::default()).unwrap_err().to_string();
    assert!(error.contains("one class only") && error.contains("gone.mp4: no such file"), "{error}");
}

#[test]
fn what_can_not_be_used_is_an_error_that_says_why() {
    let dir = folder(&["a/1.mp4", "b/2.mp4"].map(String::from));
    let error = |name: &str, text: &str| {
        let path = list(&dir, name, text);
        let error = Dataset::open(&path, &Options::default()).unwrap_err();
        error.to_string()
    };
    let wanted = [
        ("path,class\n", "lacks `label`"),
        ("path,label\n", "no labelled clip"),
        ("path,label\na/1.mp4\n", "record"),
        ("path,label\na/1.mp4,\n", "line 2: no path or no label"),
        ("path,label,split\na/1.mp4,a,trian\n", "'trian'"),
        ("a/1.mp4,a\n", "header path,label"),
        ("a/1.mp4 1 2\n", "several numbers"),
        ("frames/1 120 2\n", "several numbers"),
        ("gone.mp4 1\nlost.mp4 2\n", "none of its 2 clips"),
        ("a/1.mp4 a\n", "one class only"),
        ("path,label,split\na/1.mp4,a,test\n", "no training clip"),
    ];
    for (text, part) in wanted {
        let error = error("list", text);
        assert!(error.contains(part), "{text:?}: {error}");
    }
    let unknown = Options { labels: Some(vec!["a".into()]), ..Options::default() };
    let error = Dataset::open(dir.path(), &unknown).unwrap_err().to_string();
    assert!(error.contains("doesn't know: 'b'"), "{error}");
    let pattern = Options { group: Some("[a-z]".into()), ..Options::default() };
    let error = Dataset::open(dir.path(), &pattern).unwrap_err().to_string();
    assert!(error.contains("no capture"), "{error}");
}

#[test]
fn stretches_of_one_video_are_clips_of_one_group() {
    let dir = folder(&["film.mp4", "other.mp4", "clip.mp4"].map(String::from));
    fs::write(dir.path().join("film.mp4"), "the same").unwrap();
    fs::write(dir.path().join("copy.mp4"), "the same").unwrap();
    let text = "path,start,end,label\nfilm.mp4,0,2.5,run\nfilm.mp4,2.5,5,sit\nfilm.mp4,5,,run\nother.mp4,,4,sit\n\
                copy.mp4,2.5,5,run\nclip.mp4,,,sit\nfilm.mp4,0,2.5,run\n";
    let path = list(&dir, "list.csv", text);
    let data = open(&path);
    let names: Vec<&str> = data.samples.iter().map(|s| s.name.as_str()).collect();
    let wanted = [
        "film.mp4#t=0,2.5",
        "film.mp4#t=2.5,5",
        "film.mp4#t=5",
        "other.mp4#t=0,4",
        "copy.mp4#t=2.5,5",
        "clip.mp4",
    ];
    assert_eq!(names, wanted);
    let group = |i: usize| data.samples[i].group.as_str();
    assert!(group(0) == group(1) && group(1) == group(2) && group(0) == group(4));
    assert!(group(0) != group(3) && group(0) != group(5));
    assert!(data.warnings.contains(&Warning::RepeatedRows(1)));
    let twins = ["film.mp4#t=2.5,5", "copy.mp4#t=2.5,5"].map(String::from).to_vec();
    assert!(data.warnings.contains(&Warning::SameClipInClasses(twins)), "{:?}", data.warnings);
    for (row, part) in [
        ("film.mp4,3,2,a", "line 2: its end, 2 s, is not behind its start, 3 s"),
        ("film.mp4,x,2,a", "line 2: start is 'x'"),
        ("film.mp4,-1,2,a", "line 2: start and end are seconds"),
    ] {
        let path = list(&dir, "bad.csv", &format!("path,start,end,label\n{row}\n"));
        let error = Dataset::open(&path, &Options::default()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_pattern_groups_and_too_few_groups_fall_back_to_clips() {
    let names: Vec<String> =
        (0..12).flat_map(|i| [format!("a/cam{}-{i}.mp4", i % 4), format!("b/cam9-{i}.mp4")]).collect();
    let dir = folder(&names);
    let options = Options { group: Some("(cam[0-9])-".into()), ..Options::default() };
    let data = Dataset::open(dir.path(), &options).unwrap();
    assert_eq!(data.grouping, Grouping::Pattern);
    assert!(data.warnings.contains(&Warning::CutByClip(vec!["b".into()])));
    assert_eq!(data.class_counts(Split::Val), [3, 2]);
    let no_pattern = open(dir.path());
    assert!(no_pattern.warnings.contains(&Warning::NoGroups));
    assert_eq!(no_pattern.class_counts(Split::Val), [2, 2]);
}

#[test]
fn a_test_part_of_known_groups_has_a_validation_part_of_its_kind() {
    let names: Vec<String> = (0..40).map(|i| format!("{i}.mp4")).collect();
    let dir = folder(&names);
    // Two copies of one clip stay on one side.
    fs::write(dir.path().join("0.mp4"), "twin").unwrap();
    fs::write(dir.path().join("4.mp4"), "twin").unwrap();
    let mut text = String::from("path,label,split,group\n");
    for (i, name) in names.iter().enumerate() {
        let split = if i % 4 == 3 { "test" } else { "train" };
        text += &format!("{name},{},{split},camera{}\n", ["a", "b"][i % 2], i / 10 % 3);
    }
    let path = list(&dir, "split.csv", &text);
    for seed in 0..20 {
        let options = Options { seed, ..Options::default() };
        let data = Dataset::open(&path, &options).unwrap();
        assert_eq!(data.cut, Some(Cut::ByClip));
        assert!(data.warnings.contains(&Warning::GroupsDontSeparate));
        assert_eq!(data.class_counts(Split::Val), [4, 2]);
        assert_eq!(data.count(Split::Test), 10);
        assert_eq!(data.samples[0].split, data.samples[4].split);
    }
}

#[test]
fn folds_validate_each_clip_once_and_keep_groups_whole() {
    let dir = folder(&ucf(&["a", "b", "c"], 7, 3));
    let data = open(dir.path());
    let folds = data.folds(5, 3).unwrap();
    let mut validated = vec![0; data.samples.len()];
    for fold in &folds {
        let (train, val) = (groups_of(fold, Split::Train), groups_of(fold, Split::Val));
        assert!(train.is_disjoint(&val));
        assert!(fold.class_counts(Split::Val).iter().all(|n| (3..=6).contains(n)));
        for (i, sample) in fold.samples.iter().enumerate() {
            validated[i] += usize::from(sample.split == Split::Val);
        }
    }
    assert!(validated.iter().all(|n| *n == 1));
    assert_eq!(folds[2].samples, data.folds(5, 3).unwrap()[2].samples);
    assert!(data.folds(22, 0).is_err());
    let short = data.folds(8, 0).unwrap();
    let few = |w: &Warning| matches!(w, Warning::FewGroupsForFolds(labels) if labels.len() == 3);
    assert!(short[0].warnings.iter().any(few));
}

#[test]
fn the_published_lists_have_the_parts_that_their_readme_says() {
    let Some(shared) = shared() else {
        eprintln!("skipped: no shared folder with real data sets");
        return;
    };
    let data = open(shared.join("data/ucf14/split1.csv"));
    assert_eq!(data.labels.len(), 14);
    assert_eq!(data.samples.len(), 1256);
    assert_eq!(data.cut, Some(Cut::ByGroup));
    assert_eq!(data.warnings, []);
    let (train, val) = (groups_of(&data, Split::Train), groups_of(&data, Split::Val));
    assert!(train.is_disjoint(&val) && val.is_disjoint(&groups_of(&data, Split::Test)));
    for (val, train) in data.class_counts(Split::Val).iter().zip(data.class_counts(Split::Train)) {
        let share = *val as f64 / (val + train) as f64;
        assert!((0.12..0.3).contains(&share), "{share}");
    }
    let data = open(shared.join("data/tank/split.csv"));
    assert_eq!(data.cut, Some(Cut::ByClip));
    assert_eq!(data.class_counts(Split::Test).iter().sum::<usize>(), 176);
    assert_eq!(data.class_counts(Split::Val), [37, 9, 8, 10]);
}

/// The folder with real data sets beside the repository, where there is one.
fn shared() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let path = std::env::var_os("CLASSIFY_SHARED").map_or_else(beside, PathBuf::from);
    path.join("data/ucf14/split1.csv").exists().then_some(path)
}

#[test]
fn a_list_whose_column_has_another_name_says_so() {
    let dir = folder(&[]);
    let list = dir.path().join("list.csv");
    fs::write(&list, "video_path,label\na.mp4,a\nb.mp4,b\n").unwrap();
    let error = Dataset::open(&list, &Options::default()).unwrap_err().to_string();
    assert!(error.contains("no column `path`: video_path,label"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_pipe_in_a_class_folder_is_left_out_and_nobody_waits_for_it() {
    let dir = folder(&ucf(&["a", "b"], 2, 2));
    let pipe = dir.path().join("a/pipe.mp4");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let data = Dataset::open(dir.path(), &Options::default()).unwrap();
    assert_eq!(data.problems.len(), 1);
    assert_eq!(data.problems[0].reason, "is a pipe or a device, not a file");
}

#[test]
fn lists_of_several_labels_are_read_in_both_forms() {
    let dir = folder(&["1.mp4", "2.mp4", "3.mp4"].map(String::from));
    let joined = "path,labels,split\n1.mp4,run|jump,train\n2.mp4,,train\n3.mp4, jump | jump ,test\n";
    let each = "jump,path,run,split\n1,1.mp4,1,train\n0,2.mp4,0,train\n1,3.mp4,0,test\n";
    let none = "path,labels,split\n1.mp4,run|jump,train\n2.mp4,_none_,train\n3.mp4,jump,test\n";
    for text in [joined, each, none] {
        let options = Options { cut: false, ..Options::default() };
        let data = Dataset::open(list(&dir, "clips.csv", text), &options).unwrap();
        assert_eq!((data.task, &*data.labels), (Task::AnyOf, &["jump".to_string(), "run".into()][..]));
        let labels: Vec<&[usize]> = data.samples.iter().map(|s| &*s.labels).collect();
        assert_eq!(labels, [&[0, 1][..], &[], &[0]]);
        assert_eq!(data.class_counts(Split::Train), [1, 1]);
        let table = data.split_table();
        let row =
            |name: &str| table.lines().find_map(|line| line.strip_prefix(name)).map(str::split_whitespace);
        let cells = |name: &str| row(name).map(Iterator::collect::<Vec<_>>);
        assert_eq!(cells("none of them"), Some(vec!["1", "0"]), "{table}");
        assert_eq!(cells("total"), Some(vec!["2", "1"]), "{table}");
    }
    // A column `label` is what it always was, whatever stands in it.
    let data = Dataset::open(
        list(&dir, "one.csv", "path,label\n1.mp4,run|jump\n2.mp4,walk\n"),
        &Options { cut: false, ..Options::default() },
    );
    let data = data.unwrap();
    assert_eq!((data.task, data.labels.len()), (Task::OneOf, 2));
}

#[test]
fn what_is_wrong_with_a_list_of_several_labels_is_said() {
    let dir = folder(&["1.mp4", "2.mp4", "3.mp4"].map(String::from));
    let wrong = |text: &str, says: &str| {
        let error =
            Dataset::open(list(&dir, "clips.csv", text), &Options::default()).unwrap_err().to_string();
        assert!(error.contains("clips.csv") && error.contains(says), "{error}");
    };
    wrong("path,label,labels\n1.mp4,a,a|b\n", "both `label` and `labels`");
    wrong("path,a,b\n1.mp4,1,0\n2.mp4,2,0\n", "line 3: a is '2', not 0 or 1");
    wrong("path,a,camera\n1.mp4,1,north\n", "line 2: camera is 'north', not 0 or 1");
    wrong("path,labels\n1.mp4,a||b\n", "line 2: labels is 'a||b'");
    wrong("path,split\n1.mp4,train\n", "lacks `label`");
    wrong("clip,labels\n1.mp4,a\n", "no column `path`");
    wrong("path,a,\n1.mp4,1,0\n", "column 3 of its header has no name");
    wrong("path,labels\n1.mp4,a\n2.mp4,a\n", "nothing can be learned");
    wrong("path,a|b,a,b\n1.mp4,1,0,1\n", "its column 'a|b' can't be a label");
    wrong("path,a,b,a\n1.mp4,1,0,0\n", "its header has the column 'a' twice");
    wrong("path,label,split,Split\n1.mp4,a,train,test\n", "its header has the column 'split' twice");
    wrong("path,labels\n1.mp4,a\n2.mp4,_none_|b\n", "line 3: `_none_` beside 'b'");
    wrong("path,a,_none_\n1.mp4,1,1\n", "line 2: `_none_` beside 'a'");
    // Labels that are called as times are.
    wrong("path,run,start\n1.mp4,1,0\n2.mp4,0,1\n", "`start` holds nothing but 0 and 1: where it is a label");
    wrong("path,run,start,end\n1.mp4,1,1,0\n2.mp4,0,0,1\n", "`start` holds nothing but 0 and 1");
    wrong("path,run,start,end\n1.mp4,1,0,1\n2.mp4,0,7,\n", "`end` holds nothing but 0 and 1");
    let text = "path,labels,split\n1.mp4,a|b,train\n2.mp4,b,train\n3.mp4,a,val\n";
    let data = open(list(&dir, "clips.csv", text));
    assert!(data.warnings.contains(&Warning::AlwaysShown("b".into())), "{:?}", data.warnings);
    let times = "path,run,start,end\n1.mp4,1,0.0,1.0\n2.mp4,0,0.0,1.0\n";
    let data = Dataset::open(list(&dir, "clips.csv", times), &Options { cut: false, ..Options::default() });
    assert_eq!(data.unwrap().samples[0].name, "1.mp4#t=0,1");
    let text = "path,a,b,split\n1.mp4,1,0,train\n2.mp4,0,0,train\n3.mp4,1,0,val\n";
    let data = open(list(&dir, "clips.csv", text));
    assert!(data.warnings.contains(&Warning::NeverShown(vec!["b".into()])), "{:?}", data.warnings);
    assert_eq!(data.labels, ["a"]);
}

#[test]
fn several_labels_are_balanced_over_whole_groups() {
    // 20 sources of 3 clips; a in every clip, b in every second source, c in every fifth; one source shows nothing.
    let names: Vec<String> = (0..60).map(|i| format!("{i}.mp4")).collect();
    let dir = folder(&names);
    let mut text = String::from("path,labels,group\n");
    for i in 0..60 {
        let source = i / 3;
        let shown: Vec<&str> = [("a", 1), ("b", 2), ("c", 5)]
            .into_iter()
            .filter(|(_, every)| source != 19 && source % every == 0)
            .map(|(label, _)| label)
            .collect();
        text += &format!("{i}.mp4,{},s{source}\n", shown.join("|"));
    }
    let path = list(&dir, "clips.csv", &text);
    let data = open(&path);
    assert_eq!(data.cut, Some(Cut::ByGroup));
    assert!(groups_of(&data, Split::Train).is_disjoint(&groups_of(&data, Split::Val)));
    let [a, b, c] = *data.class_counts(Split::Val) else { panic!("three labels") };
    assert!((9..=15).contains(&a) && (3..=9).contains(&b) && c == 3, "{a} {b} {c}");
    let folds = data.folds(4, 1).unwrap();
    for fold in &folds {
        assert_eq!(fold.class_counts(Split::Val)[2], 3, "each fold has one of the four sources of c");
        assert!(groups_of(fold, Split::Train).is_disjoint(&groups_of(fold, Split::Val)));
    }
}
