"""What the bin says: for each sentence the display's four rows, the lamp and the sound, together.

Light, text and sound always say the same because they stand in one row of one table; colour is
never alone (EN 301 549). The display has four rows of sixteen half cells: two rows Chinese, two
rows English. `{0}` and `{1}` are filled with integers.
"""

ROW_CELLS = 16

# Lamp colours as (red, green, blue) of 0 to 255, dim enough for a 5 V supply of eight pixels.
LAMPS = {
    "off": (0, 0, 0),
    "ready": (24, 24, 24),
    "your_turn": (0, 24, 64),
    "wait": (48, 28, 0),
    "thanks": (0, 64, 8),
    "no": (64, 0, 0),
}

# Sounds as (frequency in Hz, 0 = silence; duration in ms).
SOUNDS = {
    "": (),
    "turn": ((1400, 60),),
    "thanks": ((1047, 90), (1319, 90), (1568, 160)),
    "no": ((300, 250),),
}

# key: Chinese row 1 | Chinese row 2 | English row 1 | English row 2 | lamp | sound
# One string a sentence, taken apart when it is said: as tuples they would take 10 KB more heap.
SENTENCES = {
    "starting": "正在启动|请稍候|Starting,|one moment|wait|",
    "idle": "归还纸箱|请出示会员码|Return a carton:|show your pass|ready|",
    "label": "您好！|请扫纸箱面单|Hello! Scan the|carton's label|your_turn|turn",
    "opening": "请稍候|正在开门|One moment,|flap opens|wait|turn",
    "drop": "请放入纸箱||Put the carton|into the bin|your_turn|turn",
    "weighing": "正在称重|请松手|Weighing,|hands off|wait|",
    "thanks": "谢谢！{0}克|还有请扫面单|Thank you! {0}g|More? Scan label|thanks|thanks",
    "thanks_end": "谢谢！{0}克|本次结束|Thank you! {0}g|Visit complete|thanks|thanks",
    "credited": "已得{0}分|余额{1}分|+{0} points|Balance {1}|thanks|",
    "bye": "谢谢，再见||Thank you,|goodbye|ready|",
    "pass_first": "请先出示|会员码|First show|your pass|no|no",
    "pass_bad": "会员码无效|请刷新再试|Not a pass, open|it again|no|no",
    "pass_old": "会员码已过期|请刷新再试|Pass too old,|open it again|no|no",
    "label_bad": "这不是面单|请扫纸箱面单|Not a label,|scan another|no|no",
    "label_seen": "面单已用过|请换一个|Label was used,|scan another|no|no",
    "no_label": "没有扫到面单|本次结束|No label seen,|visit ended|no|no",
    "nothing": "没有放入纸箱|请再扫面单|Nothing put in,|scan again|no|no",
    "too_light": "太轻，不是纸箱|请放入纸箱|Too light for|a carton|no|no",
    "too_heavy": "太重，请取出||Too heavy,|take it out|no|no",
    "not_taken": "重物未取出|本次结束|Not taken out,|visit ended|no|no",
    "unstable": "称重不稳|请稍候|No steady weight|yet, please wait|no|no",
    "not_steady": "秤未静止|请再扫面单|Bin is shaking,|scan again|no|no",
    "label_first": "请先扫面单|再放纸箱|First scan its|label, then put|no|no",
    "withdrawn": "纸箱已取出|感谢已收回|Carton taken out|thanks withdrawn|no|no",
    "put_back": "请放回纸箱||Something left,|put it back|no|no",
    "reuse": "取一个纸箱寄件|按键结束|Take a carton to|ship with it|your_turn|turn",
    "reuse_pass": "取箱请先出示|会员码|To take one out,|show your pass|your_turn|turn",
    "reused": "{0}克，再次使用|谢谢！|{0}g goes out|again, thank you|thanks|thanks",
    "nothing_out": "没有取出纸箱|本次结束|Nothing taken,|visit ended|no|no",
    "collect": "收箱模式|完成后再扫钥匙|Collection: scan|key when done|wait|turn",
    "collected": "收箱完成|谢谢|Collection done,|thank you|thanks|thanks",
    "flap_held": "请勿挡住箱门||Keep the flap|clear, please|no|no",
    "no_points": "未得积分|请看手机|No points, see|your phone|no|no",
    "closed_scale": "秤有故障|暂停使用|Scale fault,|out of service|no|no",
    "closed_scanner": "扫码器有故障|暂停使用|Scanner fault,|out of service|no|no",
    "closed_flap": "箱门有故障|请勿堵住|Flap fault, keep|it clear|no|no",
    "closed_full": "箱子已满|请用别的箱子|The bin is full,|use another one|no|no",
    "closed_journal": "存储已满|暂停使用|Memory full,|out of service|no|no",
}


def rows(key, arguments=()):
    """The four rows of a sentence with its integers filled in."""
    filled = []
    for row in SENTENCES[key].split("|")[:4]:
        for place, value in enumerate(arguments):
            row = row.replace("{%d}" % place, str(value))
        filled.append(row)
    return filled


def lamp(key):
    """Name of the lamp colour of a sentence."""
    return SENTENCES[key].split("|")[4]


def sound(key):
    """Name of the sound of a sentence."""
    return SENTENCES[key].split("|")[5]


def cells(row):
    """Width of a row in half cells: ASCII takes one, everything else two."""
    return sum(1 if ord(c) < 0x100 else 2 for c in row)
