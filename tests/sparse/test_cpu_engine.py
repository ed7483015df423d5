from engine_contract import EngineContract
import pytest
from lartpc_sparse.sparse.engines.cpu_engine import CpuEngine
class TestCpuEngine(EngineContract):
    @pytest.fixture
    def engine(self): return CpuEngine()
