//! The page in a real browser: Chromium by its WebDriver.
//!
//! With `CLASSIFY_SHOTS=DIR` in the environment, pictures of the page are left there to look at.

use std::path::PathBuf;
use std::time::Duration;

use fantoccini::{Client, Locator};
use serde_json::{Value, json};

use crate::driver::Driver;
use crate::files::sample;
use crate::process::{Server, cautious_models};

async fn browser(driver: &Driver, arguments: &[&str]) -> Client {
    let arguments: Vec<&str> = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        .into_iter()
        .chain(arguments.iter().copied())
        .collect();
    let options = json!({"goog:chromeOptions": {"args": arguments}, "goog:loggingPrefs": {"browser": "ALL"}});
    let Value::Object(options) = options else { unreachable!() };
    driver.browser(options).await
}

async fn shot(page: &Client, name: &str) {
    if let Some(folder) = std::env::var_os("CLASSIFY_SHOTS").map(PathBuf::from) {
        std::fs::write(folder.join(name), page.screenshot().await.unwrap()).unwrap();
    }
}

async fn text(page: &Client, css: &str) -> String {
    page.find(Locator::Css(css)).await.unwrap().text().await.unwrap()
}

async fn appears(page: &Client, css: &str) {
    let wait = page.wait().at_most(Duration::from_secs(60));
    wait.for_element(Locator::Css(css)).await.unwrap_or_else(|e| panic!("{css}: {e}"));
}

/// What a script returns.
async fn says(page: &Client, script: &str) -> Value {
    page.execute(script, Vec::new()).await.unwrap()
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(test);
}

#[test]
fn a_clip_is_dropped_and_seen() {
    let Some(driver) = Driver::start() else { return };
    let server = Server::start(&["-m", "ucf14-lite0-lstm", "-m", "imagenet-lite0"], &[]);
    let address = format!("http://127.0.0.1:{}/", server.port);
    run(async {
        let page = browser(&driver, &["--window-size=1200,1300"]).await;
        page.goto(&address).await.unwrap();
        assert_eq!(page.title().await.unwrap(), "What happens in a clip");
        appears(&page, "#model option:nth-child(2)").await;
        shot(&page, "empty.png").await;

        // Chosen, as by the keyboard.
        let chooser = page.find(Locator::Css("#file")).await.unwrap();
        chooser.send_keys(sample("jumping_jacks.mp4").to_str().unwrap()).await.unwrap();
        appears(&page, "#result:not([hidden]) #labels tr").await;
        assert_eq!(text(&page, "#name").await, "jumping_jacks.mp4");
        let clip = std::fs::read(sample("jumping_jacks.mp4")).unwrap();
        let labels = server.post("/classify", clip.clone()).status(200).json()["labels"].clone();
        assert_eq!(text(&page, "#labels tr:first-child th").await, labels[0]["label"].as_str().unwrap());
        let shown = format!("{:.1}\u{202f}%", 100.0 * labels[0]["score"].as_f64().unwrap());
        assert_eq!(text(&page, "#labels tr:first-child td.number").await, shown);
        let bar =
            says(&page, "return document.querySelector('#labels b').getBoundingClientRect().width").await;
        assert!(bar.as_f64().unwrap() > 1.0, "{bar}");
        let strip = "const i = document.querySelector('#strip img'); await i.decode(); return [i.naturalWidth, i.alt]";
        let strip = says(&page, &format!("return (async () => {{ {strip} }})()")).await;
        assert!(
            strip[0].as_u64().unwrap() > 300 && strip[1].as_str().unwrap().contains("6 frames"),
            "{strip}"
        );
        // The other row, as by the keyboard.
        says(&page, "document.querySelector('.look input').focus()").await;
        let focus = page.active_element().await.unwrap();
        focus.send_keys(" ").await.unwrap();
        assert_eq!(says(&page, "return document.querySelector('.look input').checked").await, json!(true));
        assert_eq!(says(&page, "return document.querySelector('#status').textContent").await, json!(""));

        page.find(Locator::Css("#watch")).await.unwrap().click().await.unwrap();
        appears(&page, "#segments tr").await;
        appears(&page, "#watch:not([hidden])").await;
        let track = says(&page, "return document.querySelector('.track').getAttribute('aria-label')").await;
        assert!(track.as_str().unwrap().contains(" s"), "{track}");
        shot(&page, "seen.png").await;

        // Another model.
        let choice = page.find(Locator::Css("#model")).await.unwrap();
        choice.select_by_label("imagenet-lite0").await.unwrap();
        page.wait()
            .at_most(Duration::from_secs(60))
            .for_element(Locator::XPath("//*[@id='facts'][contains(.,'imagenet-lite0')]"))
            .await
            .unwrap();

        // Dropped anywhere, and no clip.
        let drop = "const files = new DataTransfer(); \
            files.items.add(new File(['no <b>clip</b>'], '<img src=x onerror=alert(1)>.mp4')); \
            dispatchEvent(new DragEvent('drop', {dataTransfer: files, cancelable: true}))";
        says(&page, drop).await;
        appears(&page, "#status.wrong").await;
        let wrong = text(&page, "#status").await;
        assert!(wrong.contains("<img src=x") && wrong.contains("not a video"), "{wrong}");
        assert_eq!(says(&page, "return document.querySelector('#result').hidden").await, json!(true));
        assert_eq!(says(&page, "return document.querySelectorAll('#status *').length").await, json!(0));
        page.close().await.unwrap();
    });
}

#[test]
fn what_a_model_says_stands_out_and_what_it_guesses_does_not() {
    let Some(driver) = Driver::start() else { return };
    let models = cautious_models().iter().flat_map(|folder| ["-m", folder.to_str().unwrap()]);
    let models: Vec<&str> = models.chain(["-m", "ucf14-lite0-lstm"]).collect();
    let server = Server::start(&models, &[]);
    run(async {
        let page = browser(&driver, &["--window-size=1200,1300"]).await;
        page.goto(&format!("http://127.0.0.1:{}/", server.port)).await.unwrap();
        appears(&page, "#model option:nth-child(4)").await;
        let chooser = page.find(Locator::Css("#file")).await.unwrap();
        chooser.send_keys(sample("jumping_jacks.mp4").to_str().unwrap()).await.unwrap();
        for (model, shown, warning) in [
            ("unsure", json!([]), "unsure"),
            ("two", json!(["BodyWeightSquats", "BrushingTeeth"]), ""),
            ("nothing", json!([]), "nothing"),
            ("ucf14-lite0-lstm", json!(["JumpingJack"]), ""),
        ] {
            let choice = page.find(Locator::Css("#model")).await.unwrap();
            choice.select_by_label(model).await.unwrap();
            let facts = format!("//section[not(@hidden)]/*[@id='facts'][contains(.,'{model}')]");
            let wait = page.wait().at_most(Duration::from_secs(60));
            wait.for_element(Locator::XPath(&facts)).await.unwrap();
            let names = "return [...document.querySelectorAll('.shown th')].map(e => e.textContent).sort()";
            assert_eq!(says(&page, names).await, shown, "{model}");
            let warnings =
                "return [...document.querySelectorAll('.warning[id]:not([hidden])')].map(e => e.id).join()";
            assert_eq!(says(&page, warnings).await, json!(warning), "{model}");
        }
        page.close().await.unwrap();
    });
}

#[test]
fn it_fits_a_phone_in_the_dark_and_takes_a_token() {
    let Some(driver) = Driver::start() else { return };
    let server = Server::start(&["-m", "ucf14-lite0-lstm"], &[("CLASSIFY_TOKEN", "s3cret")]);
    let address = format!("http://127.0.0.1:{}/", server.port);
    run(async {
        let page =
            browser(&driver, &["--window-size=500,900", "--blink-settings=preferredColorScheme=0"]).await;
        page.goto(&address).await.unwrap();
        assert!(page.source().await.unwrap().contains("wants its token"));
        page.goto(&format!("{address}?token=s3cret")).await.unwrap();
        // The secret isn't left in the address.
        assert_eq!(page.current_url().await.unwrap().as_str(), address);
        let chooser = page.find(Locator::Css("#file")).await.unwrap();
        chooser.send_keys(sample("bikes.mp4").to_str().unwrap()).await.unwrap();
        appears(&page, "#result:not([hidden]) #labels tr").await;
        let wide = says(&page, "return [document.documentElement.scrollWidth, innerWidth]").await;
        assert!(wide[0].as_u64() <= wide[1].as_u64(), "{wide}");
        let ground = says(&page, "return getComputedStyle(document.body).backgroundColor").await;
        assert_eq!(ground, json!("rgb(15, 19, 24)"));
        assert_eq!(says(&page, "return document.querySelector('#models').hidden").await, json!(true));
        // All that can be done can be done by the keyboard.
        let names = "return [...document.querySelectorAll('input, button:not([hidden]), select, video')] \
            .filter(e => e.checkVisibility()).every(e => e.tabIndex >= 0)";
        assert_eq!(says(&page, names).await, json!(true));
        shot(&page, "phone.png").await;
        page.close().await.unwrap();
    });
}
