from .pandafeed import PandasData as PandasData
from .pandafeed import PandasDirectData as PandasDirectData
