from .autodict import AutoDict as AutoDict
from .autodict import AutoDictList as AutoDictList
from .autodict import AutoOrderedDict as AutoOrderedDict
from .autodict import DotDict as DotDict
from .date import date2num as date2num
from .date import num2date as num2date
from .date import num2time as num2time
from .date import time2num as time2num
