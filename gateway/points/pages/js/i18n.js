// Texts in both languages, and the one place that knows which is on.

const TEXTS = {
  en: {
    brand: "Boxback", other: "中文", other_label: "切换到中文", other_lang: "zh-CN",
    welcome: "Give the box back",
    welcome_lead: "Bring a parcel carton back to a bin and earn points for it.",
    step_1: "Hold your pass to the bin’s scanner.",
    step_2: "Scan the label on the carton.",
    step_3: "Put the carton in. Your points arrive at once.",
    enrol_title: "Enrol this phone", enrol_label: "Your enrolment code",
    enrol_hint: "You get it from your station. It works once.",
    enrol_button: "Enrol", enrolling: "Enrolling…", cancel: "Cancel",
    replace_note: "This phone holds the pass of {name}. Enrolling puts the new pass in its place.",
    greeting: "Hello, {name}",
    pass_hint: "Hold this code to the bin’s scanner",
    pass_alt: "QR code of your pass, new every 30 seconds",
    pass_renews: "New code every 30 s",
    copy: "Copy picture", copied: "The picture is copied. It is good for a few seconds only.",
    copy_failed: "This browser does not allow copying here. Drag the picture instead.",
    balance: "Your points", unit_one: "point", unit: "points",
    history: "History", more: "Show older entries",
    history_empty: "Nothing here yet. Your first carton shows up here, a moment after the bin says thank you.",
    foot: "Your pass is made on this phone and works without a network.",
    lost: "No connection. Your pass still works; points show up when the connection is back.",
    ended: "To see your points again, enrol this phone anew. Your pass still works.",
    enrol_again: "Enrol anew",
    unsafe: "This page needs a secure address (https) to make your pass.",
    no_store: "This browser does not let the page keep your pass. Leave private browsing and try again.",
    today: "Today", yesterday: "Yesterday", mass: "{mass} g",
    heard_credit: "{points} points for a carton. You have {balance} points.",
    heard_back: "{what}: {points} points. You have {balance} points.",
    "deposit.credited": "Carton returned",
    "deposit.withdrawn": "Carton taken out again",
    "deposit.label_seen": "This carton had earned points before",
    "deposit.time_impossible": "The bin’s times for this carton do not fit together",
    "deposit.pass_expired": "The pass was too old when it was scanned",
    "deposit.pass_replayed": "This pass was used at another bin before",
    "entry.other": "A change to your account",
    code_unknown: "There is no such code. Look at it once more.",
    code_used: "This code was used before. Ask for a new one.",
    code_expired: "This code is too old. Ask for a new one.",
    too_many_tries: "Too many tries. Wait a minute, then try again.",
    code_missing: "Type the code first.",
    failed: "That did not work. Check the connection and try again.",
  },
  zh: {
    brand: "回箱", other: "English", other_label: "Switch to English", other_lang: "en",
    welcome: "纸箱回家，积分到手",
    welcome_lead: "把快递纸箱送回回收箱，每一个都有积分。",
    step_1: "把回箱码对准回收箱的扫描口。",
    step_2: "扫描纸箱上的面单。",
    step_3: "放入纸箱，积分马上到账。",
    enrol_title: "绑定这部手机", enrol_label: "绑定码",
    enrol_hint: "绑定码由驿站提供，只能使用一次。",
    enrol_button: "绑定", enrolling: "正在绑定…", cancel: "取消",
    replace_note: "这部手机上已有 {name} 的回箱码，绑定后将被新的替换。",
    greeting: "{name}，你好",
    pass_hint: "请把此码对准回收箱的扫描口",
    pass_alt: "你的回箱码，每 30 秒更新",
    pass_renews: "30 秒更新",
    copy: "复制图片", copied: "图片已复制，仅在数秒内有效。",
    copy_failed: "浏览器不允许在此复制，请直接拖动图片。",
    balance: "我的积分", unit_one: "分", unit: "分",
    history: "积分记录", more: "查看更早的记录",
    history_empty: "还没有记录。回收箱说“谢谢”后，你的第一个纸箱就会出现在这里。",
    foot: "回箱码在本机生成，没有网络也能使用。",
    lost: "网络已断开。回箱码仍可使用，恢复连接后会显示积分。",
    ended: "重新绑定这部手机后可查看积分。回箱码仍可使用。",
    enrol_again: "重新绑定",
    unsafe: "需要安全地址（https）才能生成回箱码。",
    no_store: "浏览器不允许保存回箱码，请退出无痕模式后重试。",
    today: "今天", yesterday: "昨天", mass: "{mass} 克",
    heard_credit: "归还一个纸箱，获得 {points} 分，现有 {balance} 分。",
    heard_back: "{what}：{points} 分，现有 {balance} 分。",
    "deposit.credited": "已归还纸箱",
    "deposit.withdrawn": "纸箱又被取出",
    "deposit.label_seen": "这个纸箱已经积过分",
    "deposit.time_impossible": "回收箱记录的时间前后不符",
    "deposit.pass_expired": "扫描时回箱码已过期",
    "deposit.pass_replayed": "此回箱码已在其他回收箱使用过",
    "entry.other": "账户有变动",
    code_unknown: "没有这个绑定码，请再核对一次。",
    code_used: "绑定码已被使用，请重新索取。",
    code_expired: "绑定码已过期，请重新索取。",
    too_many_tries: "尝试次数过多，请一分钟后再试。",
    code_missing: "请先输入绑定码。",
    failed: "操作未成功，请检查网络后重试。",
  },
};

const KEEP = "boxback.lang";
let lang = "en";

/** Take the language of the address, else the one chosen before, else the browser's. */
export function chooseLanguage() {
  const asked = new URLSearchParams(location.search).get("lang");
  if (asked in TEXTS) remember(asked);
  const chosen = asked in TEXTS ? asked : recall();
  const own = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
  setLanguage(chosen in TEXTS ? chosen : own);
}

/** Go to the other language and remember it. */
export function switchLanguage() {
  const next = lang === "zh" ? "en" : "zh";
  remember(next);
  setLanguage(next);
}

function setLanguage(next) {
  lang = next;
  document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
  document.title = t("brand");
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
}

/** A text in the language that is on; an unknown key gives undefined. */
export function t(key, values = {}) {
  return TEXTS[lang][key]?.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

export function number(value) {
  return new Intl.NumberFormat(document.documentElement.lang).format(value);
}

/** "Today 14:03", "Yesterday 09:12", "3 Nov 18:40", with the year when it is another one; "–" for
 *  a time no calendar has. */
export function when(ms) {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return "–";
  const tag = document.documentElement.lang;
  const time = new Intl.DateTimeFormat(tag, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const days = Math.round((midnight(new Date()) - midnight(date)) / 86_400_000);
  const year = date.getFullYear() === new Date().getFullYear() ? {} : { year: "numeric" };
  const day = days === 0 ? t("today") : days === 1 ? t("yesterday")
    : new Intl.DateTimeFormat(tag, { month: "short", day: "numeric", ...year }).format(date);
  return `${day} ${time.format(date)}`;
}

function midnight(date) {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
}

// Storage may be forbidden (private windows, strict frames): the choice is then not remembered.
function remember(value) {
  try { localStorage.setItem(KEEP, value); } catch (error) { console.info("language not kept", error.name); }
}

function recall() {
  try { return localStorage.getItem(KEEP); } catch { return null; }
}
