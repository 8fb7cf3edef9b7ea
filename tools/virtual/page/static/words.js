// Every word of the page, in both languages, and the switch between them.

const WORDS = {
  title: ["虚拟回收箱", "Virtual bin"],
  hood: ["纸箱回收", "carton return"],
  language: ["语言", "Language"],
  steps: ["怎么做", "What to do"],
  bin: ["回收箱", "The bin"],
  step1: ["把会员码对准扫码窗", "Hold the pass to the scanner"],
  step2: ["扫纸箱面单", "Scan the label"],
  step3: ["放入纸箱", "Put the carton in"],
  step4: ["积分到账", "Points arrive"],
  phone: ["会员的手机", "The member's phone"],
  phoneHint: ["按住二维码拖到扫码窗上，或点“把手机对准扫码窗”。", "Drag the code onto the scanner, or press “Hold the phone to the scanner”."],
  phoneHintPlain: ["点“打开会员手机页”，从那个窗口把二维码拖过来。", "Open a phone in a window of its own and drag the code from there."],
  phoneShow: ["把手机对准扫码窗", "Hold the phone to the scanner"],
  phoneNew: ["换一部新手机", "Another phone"],
  phoneOpen: ["打开会员手机页", "Open a phone"],
  lamp: ["灯", "Lamp"],
  scannerGlass: ["扫码窗", "Scanner"],
  scannerLabel: ["扫码窗：把二维码图片拖到这里，或点击选择图片", "Scanner: drop a picture of a code here, or press to choose one"],
  button: ["按钮", "Button"],
  door: ["投入口", "Cartons in here"],
  flap: ["门", "Flap"],
  scaleReads: ["秤读数", "Scale reads"],
  scanTitle: ["把码对准扫码窗", "Hold a code to the scanner"],
  scanHint: ["把二维码图片拖到扫码窗，或用下面的方式。截图、照片都行：真正的解码器会去读它。", "Drag a picture of a code onto the scanner, or use one of these. A screenshot or a photograph will do: a real decoder reads it."],
  paste: ["粘贴图片", "Paste a picture"],
  choose: ["选择图片", "Choose a picture"],
  camera: ["用摄像头", "Use the camera"],
  cartonTitle: ["你手里的纸箱", "The carton in your hands"],
  cartonSize: ["纸箱大小", "Carton"],
  small: ["小箱 150 g", "small 150 g"],
  medium: ["中箱 300 g", "medium 300 g"],
  big: ["大箱 900 g", "big 900 g"],
  light: ["一张纸片 5 g", "something light 5 g"],
  stone: ["石头 4 kg", "a stone 4 kg"],
  own: ["自定重量", "own mass"],
  ownMass: ["重量", "Mass"],
  waybill: ["面单号", "Waybill"],
  labelAlt: ["面单二维码：{0}", "QR code of the label: {0}"],
  scanLabel: ["扫面单", "Scan the label"],
  put: ["放进去", "Put it in"],
  newCarton: ["换一个纸箱", "New carton"],
  trickTitle: ["试着骗它", "Try to cheat"],
  trickHint: ["用的是上面选好的纸箱。看看显示屏怎么说。", "With the carton chosen above. See what the display says."],
  lower: ["用绳子吊进去", "Lower it on a string"],
  pull: ["把绳子拉回来", "Pull the string"],
  two: ["两个一起放", "Put two in at once"],
  handPress: ["用手压住", "Press a hand on it"],
  handLift: ["托起内箱", "Lift the container"],
  handOff: ["松手", "Let go"],
  steady: ["手一点不抖", "with a hand that never trembles"],
  operatorTitle: ["运营人员", "The operator"],
  operatorHint: ["扫钥匙码，清空，再扫一次。谁有这个码，谁就能清空。", "Scan the key code, empty the bin, scan it again. Who holds this code can empty the bin."],
  keyAlt: ["运营人员的钥匙码", "Key code of the operator"],
  showKey: ["扫钥匙码", "Scan the key"],
  otherTitle: ["还可以", "What else you can do"],
  otherHint: ["想拿个纸箱寄东西？先出示会员码，再按按钮。", "A carton to ship with? Show the pass, press the button, take one out."],
  pressButton: ["按按钮", "Press the button"],
  take: ["拿出一个", "Take one out"],
  empty: ["清空箱体", "Empty the bin"],
  shake: ["摇一摇", "Shake it"],
  wifiOff: ["断开 Wi-Fi", "Wi-Fi off"],
  wifiOn: ["接通 Wi-Fi", "Wi-Fi on"],
  powerOff: ["拔掉电源", "Pull the plug"],
  powerOn: ["插上电源", "Plug it in"],
  engineer: ["工程师视图", "For engineers"],
  notes: ["硬件备注", "Remarks of the hardware"],
  console: ["串口控制台", "Serial console"],
  state_off: ["无电源", "no power"],
  state_starting: ["启动中", "starting"],
  state_running: ["运行中", "running"],
  state_halted: ["程序已停止", "program has ended"],
  state_lost: ["页面与回收箱断开", "the page has lost the bin"],
  noWifi: ["无 Wi-Fi", "no Wi-Fi"],
  lamp_off: ["灭", "off"],
  lamp_white: ["白", "white"],
  lamp_red: ["红", "red"],
  lamp_orange: ["橙", "orange"],
  lamp_yellow: ["黄", "yellow"],
  lamp_green: ["绿", "green"],
  lamp_blue: ["蓝", "blue"],
  lamp_purple: ["紫", "purple"],
  lamp_mixed: ["彩", "mixed"],
  flap_shut: ["关", "shut"],
  flap_open: ["开", "open"],
  flap_moving: ["动", "moving"],
  beep: ["嘀 {0} Hz", "beep {0} Hz"],
  inside: ["箱内 {0} 个纸箱，共 {1} g", "{0} in the container, {1} g in all"],
  displayLabel: ["显示屏：{0}", "Display: {0}"],
  displayDark: ["显示屏是黑的", "The display is dark"],
  plotLabel: ["最近十秒的重量", "Weight over the last ten seconds"],
  saw: ["扫码窗看到一个码。", "The scanner saw a code."],
  sawNone: ["扫码窗没有看到码。", "The scanner saw no code."],
  sawDark: ["没有电源，扫码器不工作。", "Without power the scanner is dark."],
  notImage: ["拖过来的不是图片。", "What was dropped is not a picture."],
  elsewhere: ["这张图片在另一个网站上，浏览器不让读。请截图后粘贴。", "That picture lives on another site and the browser may not read it. Take a screenshot and paste it."],
  nothingToPaste: ["剪贴板里没有图片。", "There is no picture on the clipboard."],
  noClipboard: ["浏览器不允许读剪贴板，请直接按 Ctrl-V。", "The browser does not let the page read the clipboard: press Ctrl-V instead."],
  noCamera: ["摄像头不能用：{0}", "The camera cannot be used: {0}"],
  tooLarge: ["图片太大。", "The picture is too large."],
  putDone: ["纸箱落进去了。", "The carton has dropped in."],
  takeDone: ["拿出了 {0} g。", "Took {0} g out."],
  lowerDone: ["纸箱吊在绳子上，慢慢下去。", "The carton goes down on its string."],
  pullDone: ["拉出了 {0} g，纸箱又在你手里。", "Pulled {0} g out: the carton is in your hands again."],
  twoDone: ["两个纸箱一起落进去了。", "Two cartons have dropped in at once."],
  pressDone: ["手压在箱里，约 {0} g。", "A hand presses with about {0} g."],
  liftDone: ["内箱被托起约 {0} g。", "The container is lifted by about {0} g."],
  letGoDone: ["手松开了。", "The hand is gone."],
  emptyDone: ["清出 {0} 个纸箱。", "Cartons taken out: {0}."],
  pressed: ["按了一下按钮。", "Pressed the button."],
  shaken: ["箱体在摇晃。", "The bin is being shaken."],
  refused_flap_shut: ["门关着，放不进去。先出示会员码，再扫面单。", "The flap is shut: it does not go in. Show the pass first, then scan the label."],
  refused_flap_shut_out: ["门关着，手伸不进去。先出示会员码，再按按钮。", "The flap is shut: no hand gets in. Show the pass, then press the button."],
  refused_flap_shut_hand: ["门关着，手伸不进去。", "The flap is shut: no hand gets in."],
  refused_no_string: ["没有吊着绳子的纸箱。", "No carton hangs on a string."],
  refused_hand: ["已经有一只手在那里：先松手。", "A hand is there already: let go first."],
  refused_empty: ["箱体是空的。", "The container is empty."],
  refused_full: ["箱体已满。", "The container is full."],
  refused_mass: ["重量不对。", "That mass cannot be."],
  noPass: ["手机上没有会员码：请先登记这部手机。", "The phone shows no code: enrol it first."],
  badMass: ["重量请填 1 到 60000 之间的整数（克）。", "Mass: a whole number from 1 to 60000 g."],
  plugPulled: ["电源已拔掉。", "The plug is pulled."],
  pluggedIn: ["电源已插上，正在启动。", "Plugged in: it is starting."],
  wifiIsOff: ["Wi-Fi 已断开。", "Wi-Fi is off."],
  wifiIsOn: ["Wi-Fi 已接通。", "Wi-Fi is on."],
  lost: ["回收箱没有回应：make run 还在运行吗？", "The bin does not answer. Is `make run` still running?"],
  refusedInput: ["这个值不能用。", "That value cannot be used."],
  failed: ["没有成功：{0}", "That did not work: {0}"],
  f_state: ["状态", "state"],
  f_flash: ["闪存操作（擦除 / 写入）", "flash operations (erase / program)"],
  f_resets: ["复位次数", "resets"],
  f_heap: ["堆内存（空闲 / 已用）", "heap (free / used)"],
  f_wdt: ["看门狗", "watchdog"],
  f_scanner: ["扫码器（模式 / 波特率 / 丢弃帧）", "scanner (mode / baud / dropped frames)"],
  f_clock: ["世界时钟", "clock of the world"],
  f_ntp: ["对时应答", "time requests answered"],
  realTime: ["真实时间", "real time"],
  virtualTime: ["虚拟时间", "virtual time"],
};

let column = 1;

export function t(key, ...values) {
  const text = WORDS[key] ? WORDS[key][column] : key;
  return text.replace(/\{(\d)\}/g, (_, n) => String(values[Number(n)] ?? ""));
}

export function language() {
  return column === 0 ? "zh" : "en";
}

const REMEMBERED = "boxback.lang";

function preferred() {
  const asked = new URLSearchParams(location.search).get("lang")
    || localStorage.getItem(REMEMBERED) || navigator.language || "en";
  return asked.toLowerCase().startsWith("zh") ? "zh" : "en";
}

export function rememberLanguage(lang) {
  localStorage.setItem(REMEMBERED, lang);
}

export function setLanguage(lang = preferred()) {
  column = lang === "zh" ? 0 : 1;
  document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of document.querySelectorAll("[data-label]")) {
    node.setAttribute("aria-label", t(node.dataset.label));
  }
  for (const node of document.querySelectorAll("[data-alt]")) node.alt = t(node.dataset.alt);
  for (const node of document.querySelectorAll("[data-title]")) node.title = t(node.dataset.title);
  for (const node of document.querySelectorAll("[data-lang]")) {
    node.setAttribute("aria-pressed", String(node.dataset.lang === lang));
  }
  document.title = `Boxback · ${t("title")}`;
}
