"""Special tokens that stand only beside tokenizer.json, as transformers adds them: python make_special_token_goldens.py."""

import json,shutil,tempfile
from importlib.metadata import version
from pathlib import Path

from transformers import AutoTokenizer
base=str(Path(__file__).resolve().parents[2]/'assets/tiny/tiny-llama-s')
cfg=json.load(open(base+'/tokenizer_config.json'))
T='a </s>[PAD] <x> b <y>  c<tool>d <s>'
V={
 'pad':({**cfg,'pad_token':'[PAD]'},{}),
 'map':({k:v for k,v in cfg.items() if k!='pad_token'},{'special_tokens_map.json':{'pad_token':'[PAD]','additional_special_tokens':['<x>','<y>']}}),
 'mapwins':({**cfg,'bos_token':'<s>'},{'special_tokens_map.json':{'bos_token':'</s>'}}),
 'decoderwins':({**cfg,'added_tokens_decoder':{'1018':{'content':'<x>','special':True}}},{'special_tokens_map.json':{'bos_token':'</s>','pad_token':'[PAD]'}}),
 'added':(cfg,{'added_tokens.json':{'<tool>':1019,'<x>':1018}}),
 'flags':({**cfg,'added_tokens_decoder':{'2':{'content':'</s>','special':True,'lstrip':True,'rstrip':True},'1500':{'content':'<tool>','special':False,'rstrip':True},'1018':{'content':'<x>','special':True}}},{}),
 'extra':({**cfg,'extra_special_tokens':['<x>','<y>'],'sep_token':'<tool>'},{}),
 'extradict':({**cfg,'extra_special_tokens':{'tool_token':'<tool>'}},{}),
}
out={}
for n,(c,f) in V.items():
    d=tempfile.mkdtemp()
    shutil.copy(base+'/tokenizer.json',d); shutil.copy(base+'/config.json',d)
    json.dump(c,open(d+'/tokenizer_config.json','w'))
    for k,v in f.items(): json.dump(v,open(d+'/'+k,'w'))
    t=AutoTokenizer.from_pretrained(d)
    ids=t(T)['input_ids']
    out[n]={'config':c,'files':f,'ids':ids,'bos':t.bos_token_id,'pad':t.pad_token_id,'skip':t.decode(ids,skip_special_tokens=True)}
made=f"transformers {version('transformers')}, tokenizers {version('tokenizers')}; bundled tiny-llama-s with these files beside its tokenizer.json"
Path(__file__).resolve().with_name('special-tokens.json').write_text(json.dumps({'made_by':made,'text':T,'cases':out},indent=1)+'\n')
