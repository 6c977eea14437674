//! The page in a browser.

use std::future::Future;
use std::time::{Duration, Instant};

use fantoccini::wd::Capabilities;
use fantoccini::{Client, Locator};
use serde_json::{Value, json};

use crate::driver::Driver;

/// How long a page may take for what a test waits for: other tests want the processor, too.
const PATIENCE: Duration = Duration::from_secs(300);

/// How the page is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct View {
    pub width: u32,
    pub dark: bool,
}

/// Returns the name of the clip on the stage where its video plays.
const PLAYING: &str = "const v = document.querySelector('.slot.on video'); \
    return !v.hidden && !v.paused && v.readyState > 1 && document.getElementById('name').textContent";

/// The key, as WebDriver writes it.
pub(crate) const ESCAPE: &str = "\u{e00c}";

pub(crate) const DESKTOP: View = View { width: 1280, dark: false };

/// Does `test` with a browser; skips it, with a word, where there is none.
pub(crate) fn browse<F: Future<Output = ()>>(view: View, test: impl FnOnce(Page) -> F) {
    let Some(driver) = Driver::start() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut arguments =
            vec!["--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio", "--window-size=1280,900"];
        if view.dark {
            arguments.push("--blink-settings=preferredColorScheme=0");
        }
        let mut options = json!({ "args": arguments });
        if view.width < 500 {
            options["mobileEmulation"] =
                json!({ "deviceMetrics": { "width": view.width, "height": 900, "pixelRatio": 1 } });
        }
        let mut capabilities = Capabilities::new();
        capabilities.insert("goog:chromeOptions".into(), options);
        // Leaving a page with answers that weren't sent asks back; a test decides itself.
        capabilities.insert("unhandledPromptBehavior".into(), json!("accept"));
        let client = driver.browser(capabilities).await;
        test(Page(client.clone())).await;
        client.close().await.unwrap();
    });
}

/// The page in the tab that is in front.
#[derive(Clone)]
pub(crate) struct Page(pub Client);

impl Page {
    pub(crate) async fn open(&self, address: &str) {
        self.0.goto(address).await.unwrap();
        self.wait("the labels' part", "return document.querySelectorAll('.slot').length == 2").await;
    }

    /// Presses keys, one after the other, wherever the focus is.
    pub(crate) async fn press(&self, keys: &str) {
        let focus = self.0.active_element().await.unwrap();
        focus.send_keys(keys).await.unwrap();
    }

    pub(crate) async fn click(&self, css: &str) {
        self.0.find(Locator::Css(css)).await.unwrap().click().await.unwrap();
    }

    /// What a script returns.
    pub(crate) async fn ask(&self, script: &str) -> Value {
        self.0.execute(script, Vec::new()).await.unwrap()
    }

    pub(crate) async fn text(&self, css: &str) -> String {
        let script = format!("return document.querySelector('{css}').textContent");
        self.ask(&script).await.as_str().unwrap().to_owned()
    }

    /// Waits until a script returns something true, and returns that.
    pub(crate) async fn wait(&self, what: &str, script: &str) -> Value {
        let start = Instant::now();
        loop {
            let value = self.ask(script).await;
            let is_true = match &value {
                Value::Null | Value::Bool(false) => false,
                Value::String(text) => !text.is_empty(),
                _ => true,
            };
            if is_true {
                return value;
            }
            if start.elapsed() > PATIENCE {
                let page = self.ask("return document.body.innerText").await;
                panic!("waited in vain for {what}; the page: {page}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the head of the page counts so many labels.
    pub(crate) async fn labelled(&self, count: usize) {
        let script = format!("return document.getElementById('done').textContent.startsWith('{count} of ')");
        self.wait(&format!("{count} labels"), &script).await;
    }

    /// The name of the clip on the stage, once its video plays.
    pub(crate) async fn playing(&self) -> String {
        self.wait("a clip that plays", PLAYING).await.as_str().unwrap().to_owned()
    }

    /// The same, or `None` where a grid has come up instead.
    pub(crate) async fn stage(&self) -> Option<String> {
        let script =
            format!("if (!document.getElementById('grid').hidden) return {{ grid: true }}; {PLAYING}");
        self.wait("a clip that plays, or a grid", &script).await.as_str().map(str::to_owned)
    }

    /// The same; a grid that has come up instead is put away.
    pub(crate) async fn past_grids(&self) -> String {
        loop {
            match self.stage().await {
                Some(name) => return name,
                None => self.press(ESCAPE).await,
            }
        }
    }

    /// Saves what is to be seen, for people to look at.
    pub(crate) async fn shoot(&self, name: &str) {
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("annotate-looks");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), self.0.screenshot().await.unwrap()).unwrap();
    }
}
